//! The Lipschitz approximation theorem, constructive and checkable.
//!
//! For a network with Lipschitz activations and a box, [`approximate`] builds an SLNN with the same
//! weights, its activations replaced by polynomials, and *proves* a bound on the largest difference of
//! the two over the box, in outward-rounded arithmetic: the networks are the ones that real
//! arithmetic gives with their f64 numbers.
//!
//! ```
//! use slnn::bound::{Degrees, Domain, Request, approximate};
//! use slnn::network::{Activation, Affine, Head, Input, Layer, Network};
//! use ndarray::array;
//!
//! let layers = vec![
//!     Layer::Affine(Affine::new(array![[1.0], [-2.0]], array![0.5, 0.0])?),
//!     Layer::Activation(Activation::Tanh),
//!     Layer::Affine(Affine::new(array![[1.0, 1.0]], array![0.0])?),
//! ];
//! let network = Network::new(vec![Input::named("x")], vec!["y".into()], layers, Head::Identity)?;
//!
//! let domain = Domain::cube(1, -1.0, 1.0)?;
//! let made = approximate(&network, &domain, &Request::degrees(Degrees::All(9)))?;
//! assert!(made.bound[0] < 0.002);
//! # Ok::<(), slnn::Error>(())
//! ```
//!
//! The parts: [`Domain`], the box; `ranges`, what the pre-activations can be; `propagate`, how errors
//! travel (methods A, B, C and C2, and D, which divides the box); [`Certificate`], all of that in a
//! file; and [`check()`], which shares no code with them and recomputes every number of a certificate:
//!
//! ```
//! # use slnn::bound::{Degrees, Domain, Request, approximate, check};
//! # use slnn::network::{Activation, Affine, Head, Input, Layer, Network};
//! # use ndarray::array;
//! # let layers = vec![
//! #     Layer::Affine(Affine::new(array![[1.0], [-2.0]], array![0.5, 0.0])?),
//! #     Layer::Activation(Activation::Tanh),
//! #     Layer::Affine(Affine::new(array![[1.0, 1.0]], array![0.0])?),
//! # ];
//! # let network = Network::new(vec![Input::named("x")], vec!["y".into()], layers, Head::Identity)?;
//! # let domain = Domain::cube(1, -1.0, 1.0)?;
//! # let made = approximate(&network, &domain, &Request::degrees(Degrees::All(9)))?;
//! let verdict = check(&made.certificate);
//! assert!(verdict.valid && verdict.bound == made.bound);
//!
//! let mut bold = made.certificate;
//! bold.bound[0] *= 0.99;
//! assert!(!check(&bold).valid);
//! # Ok::<(), slnn::Error>(())
//! ```

pub mod attack;
mod backward;
mod branch;
mod budget;
pub mod certificate;
mod chain;
pub mod check;
mod construct;
mod domain;
mod joint;
mod linear;
mod neuron;
mod propagate;
mod ranges;
mod relax;
mod sensitivity;
mod sharpen;

pub use attack::attack;
pub use branch::{Split, Splits};
pub use budget::{Minimise, approximate_within, approximate_within_watched};
pub use certificate::{Certificate, Division};
pub use check::check;
pub use construct::{Approximation, Degrees, Request, Watch, approximate, approximate_watched};
pub use domain::Domain;
pub use neuron::{Neuron, Proof};
pub use propagate::Method;
