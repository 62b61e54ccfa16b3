//! The points of the principal lattice {a in N^n : |a| <= D} in lexicographic order, the first
//! coordinate outermost: where each sub-lattice begins, and how one lies within the next larger.

/// Runs of points that are the same in two lattices: the offset in the smaller, the offset in the
/// larger, and the length.
pub(super) type Runs = Vec<(u32, u32, u32)>;

/// Runs up to which the alignment of lattices is tabulated; beyond, it is a recursion.
const TABULATED: usize = 1 << 14;

/// Numbers of points, and alignments, of all lattices up to a size.
#[derive(Clone, Debug)]
pub(super) struct Simplex {
    /// `counts[m][b]`: points in m variables of degree up to b, `C(m + b, m)`.
    counts: Vec<Vec<usize>>,
    /// `starts[m][b][k]`: where the points with first coordinate k begin.
    starts: Vec<Vec<Vec<usize>>>,
    /// `runs[m][b]`: how the lattice (m, b) lies within (m, b + 1), for the first few m.
    runs: Vec<Vec<Runs>>,
}

impl Simplex {
    /// The lattices in up to `variables` variables of degree up to `degree`.
    pub(super) fn new(variables: usize, degree: usize) -> Self {
        let mut counts = vec![vec![1; degree + 1]];
        for m in 1..=variables {
            let mut row = Vec::with_capacity(degree + 1);
            let mut sum = 0;
            for b in 0..=degree {
                sum += counts[m - 1][b];
                row.push(sum);
            }
            counts.push(row);
        }
        let mut starts = vec![Vec::new()];
        for m in 1..=variables {
            let row = (0..=degree).map(|b| {
                let mut start = 0;
                let mut all = Vec::with_capacity(b + 1);
                for k in 0..=b {
                    all.push(start);
                    start += counts[m - 1][b - k];
                }
                all
            });
            starts.push(if m == 1 { Vec::new() } else { row.collect() });
        }
        let mut runs: Vec<Vec<Runs>> = vec![vec![vec![(0, 0, 1)]; degree]];
        if variables >= 2 {
            runs.push((0..degree).map(|b| vec![(0, 0, b as u32 + 1)]).collect());
        }
        let mut total = 0;
        for m in 2..variables {
            // A run for each choice of all coordinates but the last.
            total += (0..degree).map(|b| counts[m - 1][b]).sum::<usize>();
            if m > 4 && total > TABULATED {
                break;
            }
            let row = (0..degree)
                .map(|b| {
                    let mut all = Runs::new();
                    for k in 0..=b {
                        // Tabulated lattices are small: 32 bits hold every offset.
                        let small = starts[m][b][k] as u32;
                        let large = starts[m][b + 1][k] as u32;
                        all.extend(
                            runs[m - 1][b - k].iter().map(|(s, l, n)| (small + s, large + l, *n)),
                        );
                    }
                    all
                })
                .collect();
            runs.push(row);
        }
        Simplex { counts, starts, runs }
    }

    /// The number of points in `m` variables of degree up to `b`.
    #[inline(always)]
    pub(super) fn count(&self, m: usize, b: usize) -> usize {
        self.counts[m][b]
    }

    /// Where the points with first coordinate k begin.
    #[inline(always)]
    pub(super) fn start(&self, m: usize, b: usize, k: usize) -> usize {
        if m == 1 { k } else { self.starts[m][b][k] }
    }

    /// Whether the alignments of lattices in m variables are tabulated.
    #[inline(always)]
    pub(super) fn tabulates(&self, m: usize) -> bool {
        m < self.runs.len()
    }

    /// How the lattice (m, b) lies within (m, b + 1), where that is tabulated.
    #[inline(always)]
    pub(super) fn runs(&self, m: usize, b: usize) -> &[(u32, u32, u32)] {
        &self.runs[m][b]
    }

    /// The position of a point.
    pub(super) fn rank(&self, point: &[usize], degree: usize) -> usize {
        let mut rest = degree;
        let mut rank = 0;
        for (i, &k) in point.iter().enumerate() {
            rank += self.start(point.len() - i, rest, k);
            rest -= k;
        }
        rank
    }
}

/// Calls `visit` with every point of degree up to `degree`, in lexicographic order.
pub(super) fn each_point(variables: usize, degree: usize, mut visit: impl FnMut(&[usize])) {
    let mut point = vec![0; variables];
    let mut sum = 0;
    loop {
        visit(&point);
        // The successor: raise the last coordinate that can be raised.
        let mut i = variables;
        loop {
            if i == 0 {
                return;
            }
            i -= 1;
            if sum < degree {
                point[i] += 1;
                sum += 1;
                break;
            }
            sum -= point[i];
            point[i] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stand_where_their_rank_says() {
        for (n, d) in [(1, 5), (2, 4), (3, 3), (4, 5), (6, 2), (5, 0)] {
            let simplex = Simplex::new(n, d);
            let mut next = 0;
            each_point(n, d, |point| {
                assert_eq!(simplex.rank(point, d), next, "{point:?}");
                next += 1;
            });
            assert_eq!(next, simplex.count(n, d));
        }
    }

    #[test]
    fn runs_align_a_lattice_with_the_next_larger() {
        let simplex = Simplex::new(5, 4);
        for m in 0..5 {
            for b in 0..4 {
                let mut larger = Vec::new();
                for &(small, large, length) in simplex.runs(m, b) {
                    assert_eq!(small as usize, larger.len());
                    larger.extend((0..length).map(|i| (large + i) as usize));
                }
                let mut points = Vec::new();
                each_point(m, b, |point| points.push(simplex.rank(point, b + 1)));
                assert_eq!(larger, points);
            }
        }
    }
}
