//! Products in blocks that fit the caches, as in Goto and van de Geijn 2008, "Anatomy of
//! high-performance matrix multiplication" (doi:10.1145/1356052.1356053): operands are copied into
//! panels that the kernel reads in order. Right operands that are used again and again, as in
//! recurrent layers, are copied once.

use super::kernel::{Kernel, Tile};
use crate::float::Operand;
use crate::matrix::Room;
use crate::threads::{rows_per_piece, run_each};
use std::cell::RefCell;

/// Most of the inner dimension that a block may have: a panel of the right operand, and a tile of
/// the left one, stay in the first cache.
const INNER: usize = 352;
/// Rows of a block: it stays in the second cache.
const ROWS: usize = 192;
/// Columns of a block: it stays in the third cache.
const COLS: usize = 2048;

/// What one load brings from memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Elements of one line.
const LINE: usize = 16;

thread_local! {
    /// Panels of both operands.
    static ROOM: RefCell<[Vec<Line>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A right operand in panels: blocks along the inner dimension, in each of them the panels from
/// left to right.
#[derive(Clone, Debug)]
pub struct Panels {
    kernel: Kernel,
    room: Room<f32>,
    cols: usize,
}

/// A block of panels that a thread fills.
struct Filled {
    from: Operand<*const f32>,
    size: (usize, usize),
    to: *mut f32,
}

// SAFETY: operands are only read, and each of these is about other panels.
#[expect(unsafe_code, reason = "pointers to disjoint panels")]
unsafe impl Send for Filled {}

impl Panels {
    /// Copies a `k × n` operand; `None` where this processor has no kernel.
    ///
    /// # Safety
    /// Every element of the operand lies in its allocation.
    #[expect(unsafe_code, reason = "reads through a pointer")]
    pub unsafe fn new((k, n): (usize, usize), b: Operand<*const f32>) -> Option<Self> {
        let kernel = Kernel::find()?;
        let cols = n.next_multiple_of(kernel.cols);
        let mut room = Room::stale(k * cols + LINE);
        let start = first_line(&mut room);
        let width = rows_per_piece(cols / kernel.cols, k * kernel.cols) * kernel.cols;
        let most = depth(k);
        let piece = |(inner, col): (usize, usize)| {
            let depth = most.min(k - inner);
            let to = start.wrapping_add(inner * cols + depth * col);
            Filled { from: moved(b, inner, col), size: (depth, width.min(n - col)), to }
        };
        let inner = (0..k).step_by(most);
        let pieces = inner.flat_map(|inner| (0..n).step_by(width).map(move |col| (inner, col)));
        // SAFETY: the pieces lie in the operand, and each has `depth` rows for every panel of it.
        run_each(pieces.map(piece).collect(), |p: Filled| unsafe {
            pack_right(&kernel, p.size, p.from, p.to);
        });
        Some(Self { kernel, room, cols })
    }

    /// Panels of a block along the inner dimension, from a column on that begins one.
    fn block(&self, inner: usize, depth: usize, col: usize) -> *const f32 {
        let at = self.room.as_ptr();
        at.wrapping_add(at.align_offset(align_of::<Line>()) + inner * self.cols + depth * col)
    }
}

/// Where the first whole line begins: one more than is needed was asked for.
fn first_line(room: &mut Room<f32>) -> *mut f32 {
    let at = room.as_mut_ptr();
    at.wrapping_add(at.align_offset(align_of::<Line>()))
}

fn pointer(lines: &mut [Line]) -> *mut f32 {
    lines.as_mut_ptr().cast()
}

/// Room for so many elements; what is in it is left over.
fn room(lines: &mut Vec<Line>, elements: usize) -> *mut f32 {
    let needed = elements.div_ceil(LINE);
    if lines.len() < needed {
        lines.resize(needed, Line([0.0; LINE]));
    }
    pointer(lines)
}

fn moved((at, row, col): Operand<*const f32>, i: usize, j: usize) -> Operand<*const f32> {
    (at.wrapping_offset(i as isize * row + j as isize * col), row, col)
}

/// What is multiplied: sizes `m`, `k`, `n`; `α`, `β`; the operands and the result.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    pub shape: [usize; 3],
    pub scale: [f32; 2],
    pub a: Operand<*const f32>,
    pub b: Operand<*const f32>,
    /// The right operand in panels, where it is, and the panel's column at which `b` begins.
    pub panels: Option<(&'a Panels, usize)>,
    pub c: (*mut f32, usize),
}

/// Where a block of a product is: from which row, inner index and column, and how many of each.
#[derive(Clone, Copy)]
struct At {
    row: usize,
    inner: usize,
    col: usize,
    size: [usize; 3],
}

impl Product<'_> {
    /// Computes it.
    ///
    /// # Safety
    /// As of [`crate::float::Float::product`]; the kernel was found on this processor.
    #[expect(unsafe_code, reason = "reads and writes through pointers")]
    pub unsafe fn run(&self, kernel: &Kernel) {
        let kernel = self.panels.map_or(kernel, |(panels, _)| &panels.kernel);
        let [m, k, n] = self.shape;
        let most = depth(k);
        ROOM.with_borrow_mut(|[left, right]| {
            for col in (0..n).step_by(COLS) {
                for inner in (0..k.max(1)).step_by(most) {
                    let (depth, width) = (most.min(k - inner), COLS.min(n - col));
                    // SAFETY: all blocks lie in the product, of which the caller promises.
                    unsafe {
                        let b = self.right(kernel, right, [inner, depth, col, width]);
                        for row in (0..m).step_by(ROWS) {
                            let size = [ROWS.min(m - row), depth, width];
                            let at = At { row, inner, col, size };
                            self.block(kernel, left, b, at);
                        }
                    }
                }
            }
        });
    }

    /// Panels of a block of the right operand.
    #[expect(unsafe_code, reason = "reads and writes through pointers")]
    unsafe fn right(
        &self,
        kernel: &Kernel,
        lines: &mut Vec<Line>,
        [inner, depth, col, width]: [usize; 4],
    ) -> *const f32 {
        if let Some((panels, first)) = self.panels {
            return panels.block(inner, depth, first + col);
        }
        let into = room(lines, depth * width.next_multiple_of(kernel.cols));
        // SAFETY: the block lies in the operand, and there is room for its panels.
        unsafe { pack_right(kernel, (depth, width), moved(self.b, inner, col), into) };
        into
    }

    #[expect(unsafe_code, reason = "reads and writes through pointers")]
    unsafe fn block(&self, kernel: &Kernel, lines: &mut Vec<Line>, b: *const f32, at: At) {
        let [rows, depth, width] = at.size;
        let a = room(lines, rows * depth);
        // SAFETY: the block lies in the operand; tiles lie in the block of the result.
        unsafe {
            pack_left(kernel, (rows, depth), moved(self.a, at.row, at.inner), a);
            let beta = if at.inner == 0 { self.scale[1] } else { 1.0 };
            for col in (0..width).step_by(kernel.cols) {
                let b = b.add(col * depth);
                let cols = kernel.cols.min(width - col);
                for (row, height) in heights(rows, kernel.rows) {
                    let c = self.c.0.add((at.row + row) * self.c.1 + at.col + col);
                    let (alpha, stride) = (self.scale[0], self.c.1);
                    let tile = Tile { at: c, stride, alpha, beta };
                    let a = a.add(row * depth);
                    if cols == kernel.cols {
                        kernel.run(height, depth, a, b, tile);
                    } else {
                        narrow(kernel, (height, cols), depth, (a, b), tile);
                    }
                }
            }
        }
    }
}

/// Inner dimension of the blocks of a product: as few blocks as there can be, about equal. It
/// depends on nothing else, as sums are taken block by block.
fn depth(inner: usize) -> usize {
    inner.div_ceil(inner.div_ceil(INNER).max(1)).max(1)
}

/// First row and number of rows of each tile: as few tiles as there can be, of equal heights.
fn heights(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = rows.div_ceil(most);
    let start = move |tile: usize| tile * rows / tiles;
    (0..tiles).map(move |tile| (start(tile), start(tile + 1) - start(tile)))
}

/// A tile with fewer columns than the kernel has, by way of one that has all.
#[expect(unsafe_code, reason = "reads and writes through pointers")]
unsafe fn narrow(
    kernel: &Kernel,
    (rows, cols): (usize, usize),
    depth: usize,
    (a, b): (*const f32, *const f32),
    tile: Tile,
) {
    let mut all = [0.0f32; 12 * 32];
    let at = all.as_mut_ptr();
    // SAFETY: `cols` columns of the tile lie in the result, and the room holds the largest tile.
    unsafe {
        if tile.beta != 0.0 {
            for row in 0..rows {
                let from = tile.at.add(row * tile.stride);
                from.copy_to_nonoverlapping(at.add(row * kernel.cols), cols);
            }
        }
        kernel.run(rows, depth, a, b, Tile { at, stride: kernel.cols, ..tile });
        for row in 0..rows {
            let to = tile.at.add(row * tile.stride);
            to.copy_from_nonoverlapping(at.add(row * kernel.cols), cols);
        }
    }
}

/// Panels of `kernel.cols` columns, each `depth` rows one after the other; zeros at the edge.
#[expect(unsafe_code, reason = "reads and writes through pointers")]
unsafe fn pack_right(
    kernel: &Kernel,
    (depth, width): (usize, usize),
    b: Operand<*const f32>,
    into: *mut f32,
) {
    let step = kernel.cols;
    for col in (0..width).step_by(step) {
        let (_, row_stride, col_stride) = b;
        let from = moved(b, 0, col).0;
        let cols = step.min(width - col);
        // SAFETY: the caller's promise.
        unsafe {
            let panel = into.add(col * depth);
            if cols < step {
                panel.write_bytes(0, depth * step);
            }
            if col_stride == 1 && cols == step {
                for p in 0..depth {
                    let row = from.offset(p as isize * row_stride);
                    for at in (0..step).step_by(LINE) {
                        copy::<LINE>(row.add(at), panel.add(p * step + at));
                    }
                }
            } else {
                turn((cols, depth), (from, col_stride, row_stride), (panel, step));
            }
        }
    }
}

/// Tiles of rows, each `depth` columns one after the other.
#[expect(unsafe_code, reason = "reads and writes through pointers")]
unsafe fn pack_left(
    kernel: &Kernel,
    (rows, depth): (usize, usize),
    a: Operand<*const f32>,
    into: *mut f32,
) {
    for (row, height) in heights(rows, kernel.rows) {
        // SAFETY: the caller's promise.
        unsafe { turn((height, depth), moved(a, row, 0), (into.add(row * depth), height)) };
    }
}

/// `into[p · step + i] = from[i, p]`.
#[expect(unsafe_code, reason = "reads and writes through pointers")]
unsafe fn turn(
    (n, depth): (usize, usize),
    (from, across, along): Operand<*const f32>,
    (into, step): (*mut f32, usize),
) {
    let at = |i: usize, p: usize| from.wrapping_offset(i as isize * across + p as isize * along);
    let to = |i: usize, p: usize| into.wrapping_add(p * step + i);
    // Squares of four by four are turned in registers, where elements lie together.
    let square = |n: usize| if along == 1 && across != 1 { n / 4 * 4 } else { 0 };
    let (whole, deep) = (square(n), square(depth));
    // SAFETY: the caller's promise; every index is below `n` or `depth`.
    unsafe {
        for p in (0..deep).step_by(4) {
            for i in (0..whole).step_by(4) {
                let rows: [[f32; 4]; 4] =
                    std::array::from_fn(|r| at(i + r, p).cast::<[f32; 4]>().read_unaligned());
                let column = |q| -> [f32; 4] { std::array::from_fn(|r: usize| rows[r][q]) };
                let write = |q| to(i, p + q).cast::<[f32; 4]>().write_unaligned(column(q));
                (0..4).for_each(write);
            }
            for i in whole..n {
                (p..p + 4).for_each(|p| to(i, p).write(at(i, p).read()));
            }
        }
        for p in deep..depth {
            if across == 1 {
                copy_some(n, at(0, p), to(0, p));
            } else {
                (0..n).for_each(|i| to(i, p).write(at(i, p).read()));
            }
        }
    }
}

#[expect(unsafe_code, reason = "reads and writes through pointers")]
unsafe fn copy<const N: usize>(from: *const f32, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<[f32; N]>().write_unaligned(from.cast::<[f32; N]>().read_unaligned()) };
}

/// Few elements: a call that copies any number would take longer than the copy.
#[expect(unsafe_code, reason = "reads and writes through pointers")]
unsafe fn copy_some(n: usize, from: *const f32, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        match n {
            4 => copy::<4>(from, to),
            5 => copy::<5>(from, to),
            6 => copy::<6>(from, to),
            10 => copy::<10>(from, to),
            11 => copy::<11>(from, to),
            12 => copy::<12>(from, to),
            _ => from.copy_to_nonoverlapping(to, n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_of_equal_heights() {
        let all = |rows| heights(rows, 6).collect::<Vec<_>>();
        assert_eq!(all(6), [(0, 6)]);
        assert_eq!(all(8), [(0, 4), (4, 4)]);
        assert_eq!(all(20), [(0, 5), (5, 5), (10, 5), (15, 5)]);
        assert!(all(0).is_empty());
        for rows in 1..100 {
            let tiles = all(rows);
            assert!(tiles.iter().all(|&(_, height)| (1..=6).contains(&height)));
            assert_eq!(tiles.iter().map(|tile| tile.1).sum::<usize>(), rows);
        }
    }
}
