//! The backward pass as more operations of the same kind, so that shapes, memory and
//! collectives of gradients follow from the same rules as those of results.

use super::graph::{Graph, Op, OpKind, Tensor};
use plan::model::Precision;

/// Adds the gradients of everything that needs one.
///
/// For `C = A·B`: `∂A = ∂C·B` and `∂B = ∂C·A`, each summed over the dimensions its operand
/// lacks. A function of one operand may be non-linear, so its gradient reads the operand too.
/// A tensor with several readers gets the sum of their contributions.
pub(super) fn add_gradients(graph: &mut Graph, precision: &Precision, input_gradients: bool) {
    let readers = graph.readers();
    let forward: Vec<Op> = graph.ops.clone();
    let wanted = wanted(graph, &forward, input_gradients);
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); graph.tensors.len()];
    for op in forward.iter().rev().filter(|op| wanted[op.output]) {
        let gradient = if readers[op.output] == 0 && op.kind != OpKind::Source {
            Some(loss_gradient(graph, op.output))
        } else {
            total(graph, precision, op.output, &parts[op.output])
        };
        let Some(gradient) = gradient else { continue };
        for (position, &operand) in op.inputs.iter().enumerate() {
            if wanted[operand] {
                let part = parts[operand].len();
                let name = format!("grad({}) part {part}", graph.tensors[operand].name);
                let tensor = gradient_of(graph, precision, operand, name);
                let other = op.inputs[op.inputs.len() - 1 - position];
                let made = graph.push(tensor, op.kind, vec![gradient, other]);
                parts[operand].push(made);
            }
        }
    }
}

/// Whether each tensor needs a gradient: parameters, and whatever depends on one.
fn wanted(graph: &Graph, forward: &[Op], input_gradients: bool) -> Vec<bool> {
    let mut wanted = vec![false; graph.tensors.len()];
    for op in forward {
        wanted[op.output] = match op.kind {
            OpKind::Source => graph.tensors[op.output].resident || input_gradients,
            _ => op.inputs.iter().any(|&t| wanted[t]),
        };
    }
    wanted
}

fn loss_gradient(graph: &mut Graph, tensor: usize) -> usize {
    let of = graph.tensors[tensor].clone();
    let made = Tensor { name: format!("grad({})", of.name), ..of };
    graph.push(made, OpKind::Loss, vec![tensor])
}

/// The whole gradient: the only part, or the sum of the parts. Those of sources stay, as the
/// optimizer or the layer before reads them.
fn total(
    graph: &mut Graph,
    precision: &Precision,
    tensor: usize,
    parts: &[usize],
) -> Option<usize> {
    let name = format!("grad({})", graph.tensors[tensor].name);
    let is_source = graph.ops[tensor].kind == OpKind::Source;
    let whole = match parts {
        [] => return None,
        [only] => {
            graph.tensors[*only].name.clone_from(&name);
            graph.ops[*only].name = name;
            *only
        }
        several => {
            let sum = gradient_of(graph, precision, tensor, name);
            graph.push(sum, OpKind::Pointwise, several.to_vec())
        }
    };
    graph.tensors[whole].kept = is_source;
    Some(whole)
}

fn gradient_of(graph: &Graph, precision: &Precision, tensor: usize, name: String) -> Tensor {
    let of = &graph.tensors[tensor];
    let size = graph.dtype.size();
    let (element, wire) = match of.resident {
        true => (precision.gradient_bytes, precision.wire_bytes),
        false => (size, size),
    };
    Tensor { name, dims: of.dims.clone(), element, wire, kept: false, resident: false }
}
