//! What a search tries, and what that costs.

use super::{BEST, FINALISTS, FOLDS, MORE_TEACHERS, PAIR, Role};
use crate::table::Table;
use crate::train::{HiddenActivation, Loss, Optimiser, Options};

/// Candidates whose polynomial may have more monomials are left out: the result is to be expanded.
const MAX_MONOMIALS: f64 = 200_000.0;
/// Rows up to which full batches with L-BFGS pay.
const FULL_BATCH_ROWS: usize = 10_000;

/// What a search may vary and how much it may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Hidden layers and degrees of the candidates, in the order in which they are tried.
    pub shapes: Vec<(Vec<usize>, Vec<usize>)>,
    /// The L2 of every shape.
    pub l2: Vec<f64>,
    /// The factor between neighbouring L2 of the last round; none where it is 1.
    pub step: f64,
    /// The size of the ensemble, or `None` to choose it.
    pub members: Option<usize>,
    /// The most trainings of the search; those of the ensemble afterwards, and of its teacher, are
    /// not counted.
    pub trials: usize,
    /// What may teach and be taught, or `None` for no teacher. It has to fit into what the other
    /// rounds leave of the trainings, whole, or is left out.
    pub teacher: Option<Teacher>,
}

/// Candidates for a teacher and for those that learn from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Teacher {
    /// Hidden layers of the networks; those of all shapes are the teacher together.
    pub hidden: Vec<Vec<usize>>,
    /// What to choose from, from the smoothest to the sharpest.
    pub kinds: Vec<Kind>,
    /// Hidden layers and degrees of the SLNNs that learn from it.
    pub taught: Vec<(Vec<usize>, Vec<usize>)>,
    /// How many times as long as the others they train: what they learn has no noise, so they come
    /// nearer to it where others would begin to learn rows by heart.
    pub longer: usize,
}

/// One kind of teacher.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Its networks in each of the shapes: [`Role::Teacher`] or [`Role::ReluTeacher`], and their L2.
    pub networks: Vec<(Role, f64)>,
    /// It is chosen where it loses no more than so many times the least that a kind does: a sharp one
    /// gains most from the rows that are held back now and from more networks.
    pub room: f64,
    /// The L2 to choose from of what learns from it.
    pub taught_l2: Vec<f64>,
}

impl Teacher {
    /// The networks of all kinds, each once.
    pub(super) fn networks(&self) -> Vec<(Role, f64)> {
        let mut all = Vec::new();
        for network in self.kinds.iter().flat_map(|kind| &kind.networks) {
            if !all.contains(network) {
                all.push(*network);
            }
        }
        all
    }

    /// The most candidates that teach.
    pub fn teachers(&self) -> usize {
        self.hidden.len() * self.networks().len()
    }

    /// The most candidates to be taught.
    pub fn candidates(&self) -> usize {
        self.taught.len() * self.kinds.iter().map(|own| own.taught_l2.len()).max().unwrap_or(0)
    }

    /// The most trainings that it costs, those of candidates included.
    pub fn trainings(&self) -> usize {
        let taught = self.candidates();
        let taught = taught + (FOLDS - 1) * BEST.min(taught);
        let most = self.kinds.iter().map(|kind| kind.networks.len()).max().unwrap_or(0);
        PAIR * (FOLDS * self.teachers() + taught) + FOLDS * self.hidden.len() * most * MORE_TEACHERS
    }
}

/// C(n + d, d), as far as f64 counts.
fn monomials(inputs: usize, degree: usize) -> f64 {
    (1..=degree).map(|i| (inputs + i) as f64 / i as f64).product()
}

/// Whether the polynomial of hidden layers and degrees can be expanded.
fn is_small(inputs: usize, (_, degrees): &(Vec<usize>, Vec<usize>)) -> bool {
    monomials(inputs, degrees.iter().product()) <= MAX_MONOMIALS
}

impl Search {
    /// The candidates for a table with so many inputs: one hidden layer of degree 2, 3 or 5, or
    /// two, of total degree 4 or 9, as far as their polynomials stay below 200,000 monomials;
    /// each with weak, middling and strong L2.
    pub fn new(inputs: usize) -> Self {
        let all = [
            (vec![24, 12], vec![3, 3]),
            (vec![16, 8], vec![3, 3]),
            (vec![24], vec![5]),
            (vec![16], vec![3]),
            (vec![16, 8], vec![2, 2]),
            (vec![8], vec![2]),
        ];
        let small = |shape: &_| is_small(inputs, shape);
        let mut shapes: Vec<_> = all.into_iter().filter(small).collect();
        if shapes.is_empty() {
            shapes.push((vec![8], vec![2]));
        }
        let l2 = vec![1e-2, 3e-4, 1e-5];
        Search { shapes, l2, step: 10f64.sqrt(), members: None, trials: 76, teacher: None }
    }

    /// With a teacher, and the trainings that it costs: ReLU with strong L2, tanh with weak or both, in
    /// layers of 48,24, 24,12 and 16,8 neurons, teach two SLNNs, the first of total degree 12, 9, 3 and 4
    /// whose polynomials stay below 200,000 monomials; not both of the deep ones. With more than
    /// 104 inputs none is left, and there is no teacher.
    #[must_use]
    pub fn with_teacher(mut self, inputs: usize) -> Self {
        let small = |shape: &_| is_small(inputs, shape);
        let deep = [vec![4, 3], vec![3, 3]].map(|degrees| (vec![32, 16], degrees));
        let others = [(vec![24], vec![3]), (vec![24, 12], vec![2, 2])];
        let deep = deep.into_iter().find(small);
        let taught: Vec<_> =
            deep.into_iter().chain(others.into_iter().filter(small)).take(2).collect();
        if taught.is_empty() {
            return self;
        }
        let (smooth, sharp) = ((Role::ReluTeacher, 1e-3), (Role::Teacher, 1e-5));
        let teacher = Teacher {
            hidden: vec![vec![48, 24], vec![24, 12], vec![16, 8]],
            // What is smooth is learned by what is smoother.
            kinds: vec![
                Kind { networks: vec![smooth], room: 1.0, taught_l2: vec![1e-2] },
                Kind { networks: vec![smooth, sharp], room: 1.0, taught_l2: vec![1e-2, 1e-3] },
                Kind { networks: vec![sharp], room: 1.25, taught_l2: vec![1e-3, 1e-5] },
            ],
            taught,
            longer: 5,
        };
        self.trials += teacher.trainings();
        self.teacher = Some(teacher);
        self
    }

    /// Trainings of the rounds without a teacher.
    fn alone(&self) -> usize {
        let all = self.shapes.len() * self.l2.len();
        let finalists = if all > 1 { (FOLDS - 1) * FINALISTS.min(all) } else { FOLDS - 1 };
        let near = if self.step == 1.0 { 0 } else { 2 * FOLDS };
        PAIR * (all + finalists + near)
    }

    /// The teacher, where its trainings fit into those that the other rounds leave.
    pub fn affordable_teacher(&self) -> Option<&Teacher> {
        self.teacher.as_ref().filter(|own| self.alone() + own.trainings() <= self.trials)
    }

    /// The most trainings that a search of these candidates can use.
    pub fn trainings(&self) -> usize {
        self.trials.min(self.alone() + self.affordable_teacher().map_or(0, Teacher::trainings))
    }
}

/// Whether a teacher can be asked for: for SLNNs, a regression, and tables on which [`method`] says
/// L-BFGS, where many trainings cost little.
pub fn teachable(table: &Table, options: &Options) -> bool {
    matches!(options.activation, HiddenActivation::Slaf { .. })
        && options.loss == Loss::MeanSquaredError
        && table.classes().is_none()
        && table.rows() <= FULL_BATCH_ROWS
}

/// The way of training that suits a search, for what the caller leaves open: up to 10,000 rows
/// L-BFGS with 1000 iterations on all rows, since the L2 is chosen and every row counts; beyond it
/// Adam with batches of 128 rows and 60 epochs, the epoch chosen by a tenth of the rows, others for
/// every network of an ensemble.
pub fn method(rows: usize, mut options: Options) -> Options {
    if rows <= FULL_BATCH_ROWS {
        (options.optimiser, options.batch, options.epochs) = (Optimiser::lbfgs(), None, 1000);
    } else {
        (options.optimiser, options.batch, options.epochs) = (Optimiser::adam(), Some(128), 60);
        options.validation = Some(0.1);
    }
    options
}
