//! Parameters: name, shape, the part that a rank holds, the initial value of every element.

use crate::float::Float;
use crate::matrix::{View, ViewMut};
use crate::random::Random;
use std::ops::Range;

/// Which part of a tensor a rank holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it.
    Whole,
    /// Some rows.
    Rows(Range<usize>),
    /// Some columns, in ranges one after the other.
    Columns(Vec<Range<usize>>),
    /// Some columns of some rows.
    Both(Vec<Range<usize>>, Vec<Range<usize>>),
}

/// How elements start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normally distributed around 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// All the same.
    Constant(f64),
    /// 0, but another value in some columns: gates that start open or closed.
    Gate {
        /// The value.
        value: f64,
        /// First column.
        from: usize,
        /// Column behind the last.
        to: usize,
    },
}

/// A parameter of a model, and the part of it that is held here.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name in checkpoints.
    pub name: String,
    /// Rows of the whole tensor.
    pub rows: usize,
    /// Columns of the whole tensor; a vector has one row.
    pub cols: usize,
    /// The part held here.
    pub cut: Cut,
    /// Initial values.
    pub init: Init,
    /// The parameter of which this is a second copy, if it is one: the output table that is the
    /// embedding. Both start equal, and their gradients are summed.
    pub copy_of: Option<&'static str>,
    /// Whether the ranks of a tensor-parallel group hold different parts.
    pub is_split: bool,
    /// Whether each of them computes a summand of its gradient, from the positions that it holds.
    pub is_summed: bool,
}

fn count(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(Range::len).sum()
}

impl Parameter {
    /// Shape of the part.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        match &self.cut {
            Cut::Whole => (self.rows, self.cols),
            Cut::Rows(rows) => (rows.len(), self.cols),
            Cut::Columns(ranges) => (self.rows, count(ranges)),
            Cut::Both(rows, ranges) => (count(rows), count(ranges)),
        }
    }

    /// Elements of the part.
    #[must_use]
    pub fn len(&self) -> usize {
        let (rows, cols) = self.held();
        rows * cols
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each element of the part, in order, its index in the whole tensor.
    pub fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        let one = |range: Range<usize>| vec![range];
        let (rows, ranges) = match &self.cut {
            Cut::Whole => (one(0..self.rows), one(0..self.cols)),
            Cut::Rows(rows) => (one(rows.clone()), one(0..self.cols)),
            Cut::Columns(ranges) => (one(0..self.rows), ranges.clone()),
            Cut::Both(rows, ranges) => (rows.clone(), ranges.clone()),
        };
        let cols = self.cols;
        rows.into_iter().flatten().flat_map(move |row| {
            let row_indices = ranges.clone().into_iter().flatten();
            row_indices.map(move |col| row * cols + col)
        })
    }

    /// Writes the initial values of the part.
    pub fn initialise<T: Float>(&self, seed: u64, values: &mut [T]) {
        let name = self.copy_of.unwrap_or(&self.name);
        let draw = Random::new(seed, name);
        for (value, index) in values.iter_mut().zip(self.indices()) {
            *value = T::of(match self.init {
                Init::Normal { deviation } => deviation * draw.normal(index as u64),
                Init::Constant(value) => value,
                Init::Gate { value, from, to } if (from..to).contains(&(index % self.cols)) => {
                    value
                }
                Init::Gate { .. } => 0.0,
            });
        }
    }
}

/// Lists the parameters of a layer.
#[derive(Debug)]
pub struct Builder {
    prefix: String,
    /// Whether what is added from here on sees a part of the positions only.
    pub sums: bool,
    /// What was listed.
    pub parameters: Vec<Parameter>,
}

impl Builder {
    /// Names start with `prefix`.
    #[must_use]
    pub fn new(prefix: String) -> Self {
        Self { prefix, sums: false, parameters: Vec::new() }
    }

    /// Adds a parameter; returns its place in the layer.
    pub fn add(&mut self, name: &str, shape: (usize, usize), cut: Cut, init: Init) -> usize {
        let name = format!("{}.{name}", self.prefix);
        let (rows, cols) = shape;
        let is_split = cut != Cut::Whole;
        let copy_of = None;
        let is_summed = self.sums;
        let part = Parameter { name, rows, cols, cut, init, copy_of, is_split, is_summed };
        self.parameters.push(part);
        self.parameters.len() - 1
    }

    /// A vector that is held whole.
    pub fn vector(&mut self, name: &str, len: usize, init: Init) -> usize {
        self.add(name, (1, len), Cut::Whole, init)
    }
}

/// Weights of one layer, read.
#[derive(Clone, Debug)]
pub struct Weights<'a, T: Float> {
    parts: Vec<(&'a [T], (usize, usize))>,
}

impl<'a, T: Float> Weights<'a, T> {
    /// Cuts the elements of a layer into its parameters.
    #[must_use]
    pub fn new(mut flat: &'a [T], parameters: &[Parameter]) -> Self {
        let cut = |p: &Parameter| {
            let (part, rest) = flat.split_at(p.len());
            flat = rest;
            (part, p.held())
        };
        Self { parts: parameters.iter().map(cut).collect() }
    }

    /// As a matrix.
    #[must_use]
    pub fn matrix(&self, place: usize) -> View<'a, T> {
        let (data, (rows, cols)) = self.parts[place];
        View::new(data, rows, cols)
    }

    /// As a vector.
    #[must_use]
    pub fn vector(&self, place: usize) -> &'a [T] {
        self.parts[place].0
    }
}

/// Gradients of one layer, to be added to. Each parameter can be taken once.
#[derive(Debug)]
pub struct Gradients<'a, T: Float> {
    parts: Vec<(&'a mut [T], (usize, usize))>,
}

impl<'a, T: Float> Gradients<'a, T> {
    /// Cuts the elements of a layer into its parameters.
    #[must_use]
    pub fn new(mut flat: &'a mut [T], parameters: &[Parameter]) -> Self {
        let cut = |p: &Parameter| {
            let (part, rest) = std::mem::take(&mut flat).split_at_mut(p.len());
            flat = rest;
            (part, p.held())
        };
        Self { parts: parameters.iter().map(cut).collect() }
    }

    /// As a matrix.
    pub fn matrix(&mut self, place: usize) -> ViewMut<'a, T> {
        let (rows, cols) = self.parts[place].1;
        ViewMut::new(self.vector(place), rows, cols)
    }

    /// As a vector.
    pub fn vector(&mut self, place: usize) -> &'a mut [T] {
        std::mem::take(&mut self.parts[place].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(cut: Cut) -> Parameter {
        let mut builder = Builder::new("layers.0".into());
        builder.add("w", (3, 6), cut, Init::Normal { deviation: 1.0 });
        builder.parameters.remove(0)
    }

    #[test]
    fn a_part_starts_as_the_whole_does_there() {
        let whole = parameter(Cut::Whole);
        let mut all = vec![0.0f64; 18];
        whole.initialise(5, &mut all);
        let both = Cut::Both(vec![0..1, 2..3], vec![0..1, 4..6]);
        for cut in [Cut::Rows(1..3), Cut::Columns(vec![0..1, 4..6]), both] {
            let part = parameter(cut);
            let mut held = vec![0.0; part.len()];
            part.initialise(5, &mut held);
            let expected: Vec<f64> = part.indices().map(|i| all[i]).collect();
            assert_eq!(held, expected);
        }
    }

    #[test]
    fn columns_of_the_second_row() {
        let part = parameter(Cut::Columns(vec![0..1, 4..6]));
        assert_eq!(part.held(), (3, 3));
        assert_eq!(part.indices().skip(3).take(3).collect::<Vec<_>>(), [6, 10, 11]);
    }
}
