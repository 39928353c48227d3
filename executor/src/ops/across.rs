//! What ranks that share an operator do together, and how the parts of a matrix lie.
//!
//! Columns are split in equal parts: a rank holds the same rows, fewer columns. Positions are split
//! in equal parts of every sequence: a rank holds the same columns, fewer rows. On the wire the
//! parts lie one rank after the other.

use crate::comm::Fault;
use crate::float::Float;
use crate::matrix::{Matrix, View};

/// Collectives over the ranks that share what is computed.
pub trait Across<T> {
    /// This rank's place among them.
    fn place(&self) -> usize {
        0
    }

    /// How many they are.
    fn size(&self) -> usize {
        1
    }

    /// Sums over ranks, element by element.
    ///
    /// # Errors
    /// The group cannot go on.
    fn sum(&self, values: &mut [T]) -> Result<(), Fault>;

    /// Largest over ranks, element by element.
    ///
    /// # Errors
    /// The group cannot go on.
    fn max(&self, values: &mut [T]) -> Result<(), Fault>;

    /// Of as many equal parts as there are ranks, fills in those of the others.
    ///
    /// # Errors
    /// The group cannot go on.
    fn gather(&self, parts: &mut [T]) -> Result<(), Fault>;

    /// Of as many equal parts as there are ranks, sums the own one over ranks.
    ///
    /// # Errors
    /// The group cannot go on.
    fn scatter(&self, parts: &mut [T]) -> Result<(), Fault>;

    /// Message `i` goes to rank `i`; returns what came from each.
    ///
    /// # Errors
    /// The group cannot go on.
    fn exchange(&self, messages: Vec<Vec<T>>) -> Result<Vec<Vec<T>>, Fault>;
}

/// Nobody else.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl<T> Across<T> for Alone {
    fn sum(&self, _: &mut [T]) -> Result<(), Fault> {
        Ok(())
    }

    fn max(&self, _: &mut [T]) -> Result<(), Fault> {
        Ok(())
    }

    fn gather(&self, _: &mut [T]) -> Result<(), Fault> {
        Ok(())
    }

    fn scatter(&self, _: &mut [T]) -> Result<(), Fault> {
        Ok(())
    }

    fn exchange(&self, messages: Vec<Vec<T>>) -> Result<Vec<Vec<T>>, Fault> {
        Ok(messages)
    }
}

/// The columns of all ranks side by side.
///
/// # Errors
/// The group cannot go on.
pub fn gather_columns<T: Float>(
    own: View<'_, T>,
    across: &dyn Across<T>,
) -> Result<Matrix<T>, Fault> {
    let (rows, cols, n) = (own.rows(), own.cols(), across.size());
    let part = rows * cols;
    let mut parts = vec![T::ZERO; n * part];
    let mine = &mut parts[across.place() * part..][..part];
    (0..rows).for_each(|row| mine[row * cols..][..cols].copy_from_slice(own.row(row)));
    across.gather(&mut parts)?;
    let mut all = Matrix::zeros(rows, n * cols);
    for (i, piece) in parts.chunks_exact(cols.max(1)).enumerate() {
        let (rank, row) = (i / rows, i % rows);
        all.row_mut(row)[rank * cols..][..cols].copy_from_slice(piece);
    }
    Ok(all)
}

/// The own columns of the sum over ranks.
///
/// # Errors
/// The group cannot go on.
pub fn scatter_columns<T: Float>(
    all: View<'_, T>,
    across: &dyn Across<T>,
) -> Result<Matrix<T>, Fault> {
    let (rows, n) = (all.rows(), across.size());
    let cols = all.cols() / n;
    let piece = |i: usize| &all.row(i % rows)[i / rows * cols..][..cols];
    let mut parts: Vec<T> = (0..n * rows).flat_map(piece).copied().collect();
    across.scatter(&mut parts)?;
    let own = &parts[across.place() * rows * cols..][..rows * cols];
    Ok(Matrix::from_vec(rows, cols, own.to_vec()))
}

/// The own columns.
#[must_use]
pub fn own_columns<T: Float>(all: &Matrix<T>, across: &dyn Across<T>) -> Matrix<T> {
    let cols = all.cols() / across.size();
    all.view().columns(across.place() * cols..(across.place() + 1) * cols).to_matrix()
}

/// Where row `i` of the rows of all ranks, one rank after the other, is in whole sequences.
fn whole_row(i: usize, sequences: usize, length: usize, n: usize) -> usize {
    let per_rank = length / n;
    let (rank, own) = (i / (sequences * per_rank), i % (sequences * per_rank));
    let (sequence, position) = (own / per_rank.max(1), own % per_rank.max(1));
    sequence * length + rank * per_rank + position
}

/// Whole sequences from the positions that each rank holds.
///
/// # Errors
/// The group cannot go on.
pub fn gather_positions<T: Float>(
    own: &Matrix<T>,
    sequences: usize,
    across: &dyn Across<T>,
) -> Result<Matrix<T>, Fault> {
    let (rows, cols, n) = (own.rows(), own.cols(), across.size());
    let mut parts = vec![T::ZERO; n * rows * cols];
    parts[across.place() * rows * cols..][..rows * cols].copy_from_slice(own.data());
    across.gather(&mut parts)?;
    let length = n * rows / sequences.max(1);
    let mut all = Matrix::zeros(n * rows, cols);
    for (i, row) in parts.chunks_exact(cols.max(1)).enumerate() {
        all.row_mut(whole_row(i, sequences, length, n)).copy_from_slice(row);
    }
    Ok(all)
}

/// The own positions of the sum over ranks.
///
/// # Errors
/// The group cannot go on.
pub fn scatter_positions<T: Float>(
    all: &Matrix<T>,
    sequences: usize,
    across: &dyn Across<T>,
) -> Result<Matrix<T>, Fault> {
    let (rows, cols, n) = (all.rows(), all.cols(), across.size());
    let length = rows / sequences.max(1);
    let row = |i: usize| all.row(whole_row(i, sequences, length, n));
    let mut parts: Vec<T> = (0..rows).flat_map(row).copied().collect();
    across.scatter(&mut parts)?;
    let own = &parts[across.place() * rows / n * cols..][..rows / n * cols];
    Ok(Matrix::from_vec(rows / n, cols, own.to_vec()))
}

/// The own positions.
#[must_use]
pub fn own_positions<T: Float>(
    all: &Matrix<T>,
    sequences: usize,
    across: &dyn Across<T>,
) -> Matrix<T> {
    let (rows, n) = (all.rows() / across.size(), across.size());
    let (first, length) = (across.place() * rows, all.rows() / sequences.max(1));
    let row = |i: usize| all.row(whole_row(first + i, sequences, length, n));
    let values: Vec<T> = (0..rows).flat_map(row).copied().collect();
    Matrix::from_vec(rows, all.cols(), values)
}
