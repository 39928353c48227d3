//! Matrices in row-major order, and strided views of them.

mod room;

use crate::float::{Float, widened};
use crate::threads::{rows_per_piece, run_each};
pub(crate) use room::Room;
pub use room::Spare;
use std::ops::Range;

/// A matrix that owns its elements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix<T: Float> {
    data: Room<T>,
    rows: usize,
    cols: usize,
}

/// A strided view.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) strides: (usize, usize),
}

/// A strided view that may be written. Rows do not overlap.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    pub(crate) data: &'a mut [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
}

impl<T: Float> Matrix<T> {
    /// All zero.
    #[must_use]
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { data: Room::zeros(rows * cols), rows, cols }
    }

    /// For whoever writes every element: what is in it is left over from something else.
    pub(crate) fn stale(rows: usize, cols: usize) -> Self {
        Self { data: Room::stale(rows * cols), rows, cols }
    }

    /// The elements in row-major order. A length that does not fit the shape is cut or filled with
    /// zeros.
    #[must_use]
    pub fn from_vec(rows: usize, cols: usize, mut data: Vec<T>) -> Self {
        data.resize(rows * cols, T::ZERO);
        Self { data: data.into(), rows, cols }
    }

    /// Element by element.
    #[must_use]
    pub fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> T) -> Self {
        let data = (0..rows * cols).map(|i| f(i / cols.max(1), i % cols.max(1)));
        Self { data: data.collect::<Vec<_>>().into(), rows, cols }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements in row-major order.
    #[must_use]
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// Elements in row-major order.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Gives up the elements.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.data.into_vec()
    }

    /// Bytes of the elements.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() * T::BYTES
    }

    /// One row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[T] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }

    /// One row.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        &mut self.data[row * self.cols..(row + 1) * self.cols]
    }

    /// The whole matrix.
    #[must_use]
    pub fn view(&self) -> View<'_, T> {
        View::new(&self.data, self.rows, self.cols)
    }

    /// The whole matrix.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(&mut self.data, self.rows, self.cols)
    }

    /// Some rows.
    #[must_use]
    pub fn rows_view(&self, rows: Range<usize>) -> View<'_, T> {
        let data = &self.data[rows.start * self.cols..rows.end * self.cols];
        View::new(data, rows.len(), self.cols)
    }

    /// Some rows.
    pub fn rows_mut(&mut self, rows: Range<usize>) -> ViewMut<'_, T> {
        let data = &mut self.data[rows.start * self.cols..rows.end * self.cols];
        ViewMut::new(data, rows.len(), self.cols)
    }

    /// Adds another matrix of the same shape.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.data, &other.data);
    }
}

/// `a = 0`.
pub fn clear<T: Float>(a: &mut [T]) {
    let each = rows_per_piece(a.len(), 1);
    run_each(a.chunks_mut(each).collect(), |a: &mut [T]| a.fill(T::ZERO));
}

/// `a += b`.
pub fn add<T: Float>(a: &mut [T], b: &[T]) {
    debug_assert_eq!(a.len(), b.len());
    let each = rows_per_piece(a.len(), 1);
    if a.len() <= each {
        return add_some(a, b);
    }
    let pieces = a.chunks_mut(each).zip(b.chunks(each)).collect();
    run_each(pieces, |(a, b)| add_some(a, b));
}

widened! {
    fn add_some<T: Float>(a: &mut [T], b: &[T]) {
        a.iter_mut().zip(b).for_each(|(a, &b)| *a += b);
    }
}

widened! {
    /// `a += s·b`.
    pub fn add_scaled<T: Float>(a: &mut [T], s: T, b: &[T]) {
        a.iter_mut().zip(b).for_each(|(a, &b)| *a += s * b);
    }
}

/// Sums are sixteen sums of every sixteenth element, added at the end: vectors of any width give
/// the same bits.
const LANES: usize = 16;

fn join<T: Float>(lanes: [T; LANES]) -> T {
    let half = |lanes: &[T]| -> Vec<T> {
        let (a, b) = lanes.split_at(lanes.len() / 2);
        a.iter().zip(b).map(|(&a, &b)| a + b).collect()
    };
    half(&half(&half(&half(&lanes))))[0]
}

widened! {
    /// Sum of products.
    pub fn dot<T: Float>(a: &[T], b: &[T]) -> T {
        let mut lanes = [T::ZERO; LANES];
        let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            (0..LANES).for_each(|i| lanes[i] += a[i] * b[i]);
        }
        let rest = lanes.iter_mut().zip(rest_a.iter().zip(rest_b));
        rest.for_each(|(lane, (&a, &b))| *lane += a * b);
        join(lanes)
    }
}

widened! {
    /// Sum of all.
    pub fn sum<T: Float>(values: &[T]) -> T {
        let mut lanes = [T::ZERO; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            (0..LANES).for_each(|i| lanes[i] += chunk[i]);
        }
        lanes.iter_mut().zip(rest).for_each(|(lane, &value)| *lane += value);
        join(lanes)
    }
}

widened! {
    /// The largest; [`Float::LOWEST`] of none.
    pub fn largest<T: Float>(values: &[T]) -> T {
        let mut lanes = [T::LOWEST; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            (0..LANES).for_each(|i| lanes[i] = lanes[i].max(chunk[i]));
        }
        let lanes = lanes.iter().chain(rest);
        lanes.fold(T::LOWEST, |most, &value| most.max(value))
    }
}

/// Adds every row of `m` to `sums`, first row first.
pub fn add_rows<T: Float>(sums: &mut [T], m: View<'_, T>) {
    let each = rows_per_piece(sums.len(), m.rows);
    let columns = sums.chunks_mut(each).enumerate().collect();
    run_each(columns, |(piece, sums): (usize, &mut [T])| {
        let m = m.columns(piece * each..piece * each + sums.len());
        (0..m.rows).for_each(|row| add_some(sums, m.row(row)));
    });
}

impl<'a, T: Float> View<'a, T> {
    /// Row-major elements.
    #[must_use]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert!(data.len() == rows * cols, "{rows} × {cols} needs other than {}", data.len());
        Self { data, rows, cols, strides: (cols, 1) }
    }

    /// Transposed.
    #[must_use]
    pub fn t(self) -> Self {
        let strides = (self.strides.1, self.strides.0);
        Self { data: self.data, rows: self.cols, cols: self.rows, strides }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// One row of a view that is not transposed.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [T] {
        let start = row * self.strides.0;
        &self.data[start..start + self.cols]
    }

    /// A block of rows and columns.
    #[must_use]
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "a block lies in its matrix");
        let start = rows.start * self.strides.0 + cols.start * self.strides.1;
        let data = &self.data[start.min(self.data.len())..];
        Self { data, rows: rows.len(), cols: cols.len(), strides: self.strides }
    }

    /// Some columns.
    #[must_use]
    pub fn columns(self, cols: Range<usize>) -> Self {
        self.block(0..self.rows, cols)
    }

    /// A copy in row-major order.
    #[must_use]
    pub fn to_matrix(self) -> Matrix<T> {
        let (row, col) = self.strides;
        if col == 1 {
            let mut copy = Matrix::stale(self.rows, self.cols);
            (0..self.rows).for_each(|i| copy.row_mut(i).copy_from_slice(self.row(i)));
            return copy;
        }
        Matrix::from_fn(self.rows, self.cols, |i, j| self.data[i * row + j * col])
    }

    /// Whether every element lies in the slice.
    pub(crate) fn is_inside(&self) -> bool {
        let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
        self.rows == 0
            || self.cols == 0
            || last(self.rows, self.strides.0) + last(self.cols, self.strides.1) < self.data.len()
    }
}

impl<'a, T: Float> ViewMut<'a, T> {
    /// Row-major elements.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        assert!(data.len() == rows * cols, "{rows} × {cols} needs other than {}", data.len());
        Self { data, rows, cols, row_stride: cols }
    }

    /// A block of rows and columns.
    #[must_use]
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "a block lies in its matrix");
        let start = (rows.start * self.row_stride + cols.start).min(self.data.len());
        let (n, m, row_stride) = (rows.len(), cols.len(), self.row_stride);
        Self { data: &mut self.data[start..], rows: n, cols: m, row_stride }
    }

    /// Some columns.
    #[must_use]
    pub fn columns(self, cols: Range<usize>) -> Self {
        let rows = self.rows;
        self.block(0..rows, cols)
    }

    /// One row.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        let start = row * self.row_stride;
        &mut self.data[start..start + self.cols]
    }

    /// A shorter borrow.
    pub fn again(&mut self) -> ViewMut<'_, T> {
        let Self { rows, cols, row_stride, .. } = *self;
        ViewMut { data: self.data, rows, cols, row_stride }
    }

    pub(crate) fn is_inside(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.cols <= self.row_stride
                && (self.rows - 1) * self.row_stride + self.cols <= self.data.len())
    }
}
