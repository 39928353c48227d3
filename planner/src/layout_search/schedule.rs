//! A fixed order of the operations and what is in memory during each. Neither depends on the
//! layout, so that memory is linear in the program's variables.

use super::graph::Graph;
use std::collections::BTreeSet;

/// Greedy list scheduling: of the operations whose operands exist, the one that frees most
/// bytes at once; ties by name, then by position.
///
/// Freed are operands whose last reader this is and that need not stay; what a result takes
/// counts against it, unless nobody reads it and it need not stay. (Mesh-TensorFlow's
/// scheduler, in one place, asks whether the *result* must stay where it means the operand;
/// here it is the operand throughout.)
pub(super) fn order(graph: &Graph) -> Vec<usize> {
    let mut list = List::new(graph);
    let mut order = Vec::with_capacity(graph.ops.len());
    while let Some((_, _, op)) = list.ready.pop_first() {
        order.push(op);
        list.finish(op);
    }
    order
}

/// `live[i]`: sorted indices of the tensors in memory while operation `order[i]` runs: its result
/// is allocated before its operands are freed.
pub(super) fn live(graph: &Graph, order: &[usize]) -> Vec<Vec<usize>> {
    let mut readers = graph.readers();
    let mut memory: BTreeSet<usize> =
        (0..graph.tensors.len()).filter(|&t| graph.tensors[t].resident).collect();
    let mut live = Vec::with_capacity(order.len());
    for &op in order {
        let op = &graph.ops[op];
        memory.insert(op.output);
        live.push(memory.iter().copied().collect());
        let operands: BTreeSet<usize> = op.inputs.iter().copied().collect();
        for &t in &operands {
            readers[t] -= 1;
        }
        for t in operands.into_iter().chain([op.output]) {
            if readers[t] == 0 && !graph.tensors[t].kept {
                memory.remove(&t);
            }
        }
    }
    live
}

/// Only the sets that no other contains: the others can never be the peak.
pub(super) fn peaks(live: Vec<Vec<usize>>) -> Vec<BTreeSet<usize>> {
    let mut kept: Vec<BTreeSet<usize>> = Vec::new();
    for set in live {
        let set: BTreeSet<usize> = set.into_iter().collect();
        if kept.iter().any(|k| set.is_subset(k)) {
            continue;
        }
        kept.retain(|k| !k.is_subset(&set));
        kept.push(set);
    }
    kept
}

struct List<'a> {
    graph: &'a Graph,
    /// Operations that still have to read each tensor.
    users: Vec<BTreeSet<usize>>,
    /// Operands that each operation still waits for.
    missing: Vec<usize>,
    freed: Vec<i64>,
    /// Minus the bytes freed, name, operation.
    ready: BTreeSet<(i64, &'a str, usize)>,
}

impl<'a> List<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut users = vec![BTreeSet::new(); graph.tensors.len()];
        for (i, op) in graph.ops.iter().enumerate() {
            for &t in &op.inputs {
                users[t].insert(i);
            }
        }
        let operands = |i: usize| graph.ops[i].inputs.iter().collect::<BTreeSet<_>>().len();
        let missing = (0..graph.ops.len()).map(operands).collect();
        let mut list = Self { graph, users, missing, freed: Vec::new(), ready: BTreeSet::new() };
        list.freed = (0..graph.ops.len()).map(|i| list.freed_at_first(i)).collect();
        for i in 0..graph.ops.len() {
            list.offer(i);
        }
        list
    }

    fn freed_at_first(&self, op: usize) -> i64 {
        let op = &self.graph.ops[op];
        let operands: BTreeSet<usize> = op.inputs.iter().copied().collect();
        let freed: i64 =
            operands.into_iter().filter(|&t| self.users[t].len() == 1).map(|t| self.gain(t)).sum();
        let stays = !self.users[op.output].is_empty() || self.graph.tensors[op.output].kept;
        freed - if stays { self.graph.full_bytes(op.output) as i64 } else { 0 }
    }

    /// Bytes that come free with the last reader of a tensor.
    fn gain(&self, tensor: usize) -> i64 {
        if self.graph.tensors[tensor].kept { 0 } else { self.graph.full_bytes(tensor) as i64 }
    }

    fn key(&self, op: usize) -> (i64, &'a str, usize) {
        (-self.freed[op], self.graph.ops[op].name.as_str(), op)
    }

    fn offer(&mut self, op: usize) {
        if self.missing[op] == 0 {
            let key = self.key(op);
            self.ready.insert(key);
        }
    }

    fn finish(&mut self, op: usize) {
        let graph = self.graph;
        for user in self.users[graph.ops[op].output].clone() {
            self.missing[user] -= 1;
            self.offer(user);
        }
        for &t in &graph.ops[op].inputs {
            if self.users[t].remove(&op) && self.users[t].len() == 1 {
                self.last_reader(t);
            }
        }
    }

    /// One reader is left: it will free the tensor.
    fn last_reader(&mut self, tensor: usize) {
        let Some(&op) = self.users[tensor].first() else { return };
        let key = self.key(op);
        let was_ready = self.ready.remove(&key);
        self.freed[op] += self.gain(tensor);
        if was_ready {
            self.offer(op);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::*;
    use super::*;

    fn names<'a>(graph: &'a Graph, order: &[usize]) -> Vec<&'a str> {
        order.iter().map(|&i| graph.ops[i].name.as_str()).collect()
    }

    fn ordered(spec: &plan::model::EinsumGraph) -> (Graph, Vec<usize>) {
        let graph = Graph::build(spec, FORWARD).unwrap();
        let order = order(&graph);
        (graph, order)
    }

    /// tensorflow/mesh@37553191 scheduler_test.py, in elements: at first X frees −12, Y −20; then
    /// Z −60, W −15; then Z, now the last reader of X and Y, −60 + 12 + 20 = −28 and V, which frees
    /// W, −60 + 15 = −45. (W is the wider sum here, and V broadcasts it.)
    #[test]
    fn what_frees_most_goes_first() {
        let spec = graph("a:3 b:4 c:5")
            .input("X", "a b")
            .input("Y", "b c")
            .op("Z", "a b c", "X Y")
            .op("W", "a c", "X Y")
            .op("V", "a b c", "W");
        let (graph, order) = ordered(&spec);
        assert_eq!(names(&graph, &order), ["X", "Y", "W", "Z", "V"]);
    }

    /// The same file: X takes 4 and stays, Y takes 3, Z takes 6 and frees Y: −3, before X's −4.
    #[test]
    fn a_tensor_that_stays_costs_its_size() {
        let spec = graph("a:4 b:3 c:2").parameter("X", "a").input("Y", "b").op("Z", "b c", "Y");
        let (graph, order) = ordered(&spec);
        assert_eq!(names(&graph, &order), ["Y", "Z", "X"]);
    }

    /// The same file: X is neither read nor kept, so it takes nothing.
    #[test]
    fn a_tensor_that_nobody_reads_costs_nothing() {
        let spec = graph("a:4 b:3 c:2").input("X", "a").input("Y", "b").op("Z", "b c", "Y");
        let (graph, order) = ordered(&spec);
        assert_eq!(names(&graph, &order), ["X", "Y", "Z"]);
    }

    /// A result is allocated before its operands go; parameters are there from the start.
    #[test]
    fn operands_go_after_their_last_reader() {
        let spec = graph("a:8 b:2")
            .input("x", "a")
            .parameter("w", "a b")
            .op("h", "b", "x w")
            .op("g", "b", "h");
        let (graph, order) = ordered(&spec);
        let live: Vec<Vec<&str>> = live(&graph, &order)
            .iter()
            .map(|set| set.iter().map(|&t| graph.tensors[t].name.as_str()).collect())
            .collect();
        assert_eq!(names(&graph, &order), ["x", "w", "h", "g"]);
        assert_eq!(
            live,
            [vec!["x", "w"], vec!["x", "w"], vec!["x", "w", "h"], vec!["w", "h", "g"]]
        );
    }

    #[test]
    fn only_the_largest_sets_can_be_the_peak() {
        let sets = vec![vec![0], vec![0, 1], vec![1], vec![1, 2], vec![1, 2]];
        let kept = peaks(sets);
        assert_eq!(kept, [BTreeSet::from([0, 1]), BTreeSet::from([1, 2])]);
    }
}
