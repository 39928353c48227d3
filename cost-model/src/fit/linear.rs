//! Small systems of linear equations.

/// Solves `A·x = b` by Gaussian elimination with row pivots. A singular direction stays at zero.
pub(super) fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot =
            (k..n).fold(k, |best, i| if a[i][k].abs() > a[best][k].abs() { i } else { best });
        a.swap(k, pivot);
        b.swap(k, pivot);
        if a[k][k] == 0.0 {
            continue;
        }
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            let (above, below) = a.split_at_mut(i);
            for (x, y) in below[0].iter_mut().zip(&above[k]).skip(k) {
                *x -= factor * y;
            }
            b[i] -= factor * b[k];
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| a[k][j] * x[j]).sum();
        x[k] = if a[k][k] == 0.0 { 0.0 } else { (b[k] - known) / a[k][k] };
    }
    x
}

#[cfg(test)]
mod tests {
    use super::solve;

    /// 2y = 4 and x + y = 5, which needs a swap of rows.
    #[test]
    fn two_equations() {
        assert_eq!(solve(vec![vec![0.0, 2.0], vec![1.0, 1.0]], vec![4.0, 5.0]), [3.0, 2.0]);
        assert_eq!(solve(vec![vec![0.0]], vec![1.0]), [0.0]);
    }
}
