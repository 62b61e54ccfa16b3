//! The points of the principal lattice {a in N^n : |a| <= D} in lexicographic order, the first
//! coordinate outermost: where each sub-lattice begins, and how one lies within the next larger.

/// How a lattice lies within the next larger.
#[derive(Clone, Debug)]
pub(super) enum Alignment {
    /// Runs of points: the offset in the smaller, the offset in the larger, and the length.
    Runs(Vec<Run>),
    /// The place in the larger of every point of the smaller, where runs are short.
    Points(Vec<u32>),
}

type Run = (u32, u32, u32);

/// The subtractions along the axes of a small lattice, in an order in which they can be done.
#[derive(Clone, Debug, Default)]
pub(super) struct Subtractions {
    /// Of differences: the place that changes, and that of what is subtracted, which is lower.
    pub(super) differences: Vec<(u16, u16)>,
    /// Of conversions: the same, and the node by which it is multiplied; what is subtracted is
    /// higher.
    pub(super) conversions: Vec<(u16, u16, u16)>,
}

/// Runs up to which the alignment of lattices is tabulated; beyond, in more than four variables, it is
/// a recursion, which unit tests have to reach with small ones.
const TABULATED: usize = if cfg!(test) { 100 } else { 1 << 14 };

/// Variables and subtractions of a kind up to which those of a lattice are listed.
const LISTED_VARIABLES: usize = 4;
const LISTED: usize = 2048;

/// Numbers of points of all lattices up to a size.
#[derive(Clone, Debug)]
pub(super) struct Simplex {
    /// `counts[m][b]`: points in m variables of degree up to b, `C(m + b, m)`.
    counts: Vec<Vec<usize>>,
    /// `starts[m][b][k]`: where the points with first coordinate k begin.
    starts: Vec<Vec<Vec<usize>>>,
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
        Simplex { counts, starts }
    }

    /// The most variables of a lattice.
    pub(super) fn variables(&self) -> usize {
        self.counts.len() - 1
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

/// What lies next to what in the lattices of a [`Simplex`].
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    /// `alignments[m][b]`: how the lattice (m, b) lies within (m, b + 1), for the first few m.
    alignments: Vec<Vec<Alignment>>,
    /// `all[m][b]`: the subtractions along all axes of the lattice (m, b), for small ones.
    all: Vec<Vec<Option<Subtractions>>>,
    /// The same along all axes but the last.
    outer: Vec<Vec<Option<Subtractions>>>,
}

impl Neighbours {
    /// Of the lattices in fewer variables than the largest; also for `outer_axes` axes together
    /// with the last.
    pub(super) fn new(simplex: &Simplex, outer_axes: usize) -> Self {
        let (variables, degree) = (simplex.variables(), simplex.counts[0].len() - 1);
        let mut runs: Vec<Vec<Vec<Run>>> = vec![vec![vec![(0, 0, 1)]; degree]];
        if variables >= 2 {
            runs.push((0..degree).map(|b| vec![(0, 0, b as u32 + 1)]).collect());
        }
        let mut total = 0;
        for m in 2..variables {
            // A run for each choice of all coordinates but the last.
            total += (0..degree).map(|b| simplex.count(m - 1, b)).sum::<usize>();
            if m > 4 && total > TABULATED {
                break;
            }
            let row = (0..degree)
                .map(|b| {
                    let mut all = Vec::new();
                    for k in 0..=b {
                        // Tabulated lattices are small: 32 bits hold every offset.
                        let small = simplex.start(m, b, k) as u32;
                        let large = simplex.start(m, b + 1, k) as u32;
                        all.extend(
                            runs[m - 1][b - k].iter().map(|(s, l, n)| (small + s, large + l, *n)),
                        );
                    }
                    all
                })
                .collect();
            runs.push(row);
        }
        let listed = (variables - 1).min(LISTED_VARIABLES);
        let all = subtractions(simplex, &runs, 0, listed);
        let outer =
            subtractions(simplex, &runs, 1, if outer_axes == 0 { 0 } else { outer_axes + 1 });
        let alignments = runs.into_iter().map(|row| row.into_iter().map(align).collect());
        Neighbours { alignments: alignments.collect(), all, outer }
    }

    /// How the lattice (m, b) lies within (m, b + 1), where that is tabulated for every b.
    #[inline(always)]
    pub(super) fn alignments(&self, m: usize) -> Option<&[Alignment]> {
        self.alignments.get(m).map(|row| &row[..])
    }

    /// The subtractions along all axes of the lattice (m, b), where they are listed.
    #[inline(always)]
    pub(super) fn all(&self, m: usize, b: usize) -> Option<&Subtractions> {
        self.all.get(m).and_then(|row| row.get(b)).and_then(Option::as_ref)
    }

    /// The same along all axes but the last.
    #[inline(always)]
    pub(super) fn outer(&self, m: usize, b: usize) -> Option<&Subtractions> {
        self.outer.get(m).and_then(|row| row.get(b)).and_then(Option::as_ref)
    }
}

/// Short runs as points.
fn align(runs: Vec<Run>) -> Alignment {
    let points: usize = runs.iter().map(|(_, _, n)| *n as usize).sum();
    if points >= 4 * runs.len() {
        return Alignment::Runs(runs);
    }
    let mut all = Vec::with_capacity(points);
    for (_, l, n) in runs {
        all.extend(l..l + n);
    }
    Alignment::Points(all)
}

/// By variables and degree, the subtractions along all axes but the last `without`, for lattices
/// in up to `most` variables where there are few.
fn subtractions(
    simplex: &Simplex,
    runs: &[Vec<Vec<Run>>],
    without: usize,
    most: usize,
) -> Vec<Vec<Option<Subtractions>>> {
    let degree = simplex.counts[0].len() - 1;
    let mut rows: Vec<Vec<_>> =
        vec![vec![Some(Subtractions::default()); degree + 1]; (without + 1).min(most + 1)];
    for m in without + 1..=most {
        let below = &rows[m - 1];
        let row = (0..=degree).map(|b| {
            let mut all = Subtractions::default();
            // Every axis has C(m + b, m + 1) differences.
            let along = simplex.count(m, b) * b / (m + 1);
            if b > MOST_NODES || along * (m - without) > LISTED {
                return None;
            }
            for k in 0..=b {
                let start = simplex.start(m, b, k) as u16;
                let inner = below[b - k].as_ref()?;
                let shifted = |(to, from): &(u16, u16)| (start + to, start + from);
                all.differences.extend(inner.differences.iter().map(shifted));
                let shifted =
                    |(to, from, node): &(u16, u16, u16)| (start + to, start + from, *node);
                all.conversions.extend(inner.conversions.iter().map(shifted));
            }
            let between = |k: usize| {
                let (here, next) = (simplex.start(m, b, k), simplex.start(m, b, k + 1));
                let points = runs[m - 1][b - k - 1].iter();
                points.flat_map(move |(s, l, n)| {
                    (0..*n)
                        .map(move |i| (here as u16 + (l + i) as u16, next as u16 + (s + i) as u16))
                })
            };
            for order in 1..=b {
                for k in (order..=b).rev() {
                    all.differences.extend(between(k - 1).map(|(low, high)| (high, low)));
                }
            }
            for node in (1..b).rev() {
                for k in node..b {
                    let conversions = between(k).map(|(low, high)| (low, high, node as u16));
                    all.conversions.extend(conversions);
                }
            }
            Some(all)
        });
        let row = row.collect();
        rows.push(row);
    }
    rows
}

/// The degree up to which nodes, which are less, are at most 10: products by these need no reduction
/// of their own.
const MOST_NODES: usize = 11;

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
    fn alignments_place_a_lattice_in_the_next_larger() {
        let simplex = Simplex::new(5, 14);
        let neighbours = Neighbours::new(&simplex, 0);
        let mut kinds = [0; 2];
        for m in 0..5 {
            for b in 0..14 {
                let mut larger = Vec::new();
                match &neighbours.alignments(m).unwrap()[b] {
                    Alignment::Runs(runs) => {
                        kinds[0] += 1;
                        for &(small, large, length) in runs {
                            assert_eq!(small as usize, larger.len());
                            larger.extend((0..length).map(|i| (large + i) as usize));
                        }
                    }
                    Alignment::Points(points) => {
                        kinds[1] += 1;
                        larger.extend(points.iter().map(|l| *l as usize));
                    }
                }
                let mut points = Vec::new();
                each_point(m, b, |point| points.push(simplex.rank(point, b + 1)));
                assert_eq!(larger, points);
            }
        }
        assert!(kinds.iter().all(|n| *n > 5), "{kinds:?}");
    }
}
