//! From a network to its polynomials, exactly.
//!
//! [`plan`](plan()) tells what an expansion costs, [`expand`](expand()) carries it out,
//! [`prove_equal`] proves the result equal to the network by exact values on the
//! principal lattice, and [`compare`](compare()) decides whether two networks or
//! polynomials are the same function.
//!
//! ```
//! use ndarray::array;
//! use slnn::network::{Affine, Basis, Head, Input, Layer, Network, Slaf};
//! use slnn::expand::{Limits, expand, prove_equal};
//!
//! // One neuron: (x1 - x2)^2, which is XOR on {0, 1}^2.
//! let network = Network::new(
//!     vec![Input::named("x1"), Input::named("x2")],
//!     vec!["y".into()],
//!     vec![
//!         Layer::Affine(Affine::new(array![[1.0, -1.0]], array![0.0])?),
//!         Layer::Slaf(Slaf::new(Basis::Monomial, array![[0.0, 0.0, 1.0]])?),
//!     ],
//!     Head::Identity,
//! )?;
//! let expansion = expand(&network, &Limits::default())?;
//! assert_eq!(expansion.rational()?[0].to_string(), "x1^2 - 2 x1 x2 + x2^2");
//! prove_equal(&network, &expansion)?;
//! # Ok::<(), slnn::Error>(())
//! ```

mod blocks;
mod carry_out;
mod closed;
mod compare;
mod compose;
mod compressed;
mod evaluate;
mod expansion;
mod lattice;
mod plan;
mod prove;
mod rates;
mod roots;
mod series;
mod size;
mod stages;

pub use carry_out::{Seconds, Step, expand, expand_packed, expand_timed, expand_watched};
pub use compare::{Comparison, Method, Model, Stage, compare, compare_watched};
pub use compressed::compressed;
pub use expansion::{Coefficients, ExactTerm, Expansion};
pub use plan::{Limits, Plan, Route, plan};
pub use prove::{Proof, proof_seconds, prove_equal};
pub use series::{Computed, Numbers, Part, PartPlan, expand_part, plan_part};
