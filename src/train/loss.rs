//! The losses of rows of outputs, and their derivatives.

use crate::train::options::Loss;
use crate::train::real::{Real, vectorised};
use crate::train::tanh::exp;

/// The sum of the losses of rows of `outputs` numbers `y` with targets `t`, before the mean, and
/// their derivatives by `y` into `d`.
pub(super) fn rows<T: Real>(loss: Loss, y: &[T], t: &[T], d: &mut [T], outputs: usize) -> f64 {
    match loss {
        Loss::MeanSquaredError => squares(y, t, d, outputs),
        Loss::LogisticCrossEntropy => logistic(y, t, d, outputs),
        Loss::SoftmaxCrossEntropy => softmax(y, t, d, outputs),
    }
}

vectorised! {
    fn squares<'a, T>(y: &'a [T], t: &'a [T], d: &'a mut [T], outputs: usize) -> f64 {
        let mut total = 0.0;
        let rows = y.chunks_exact(outputs).zip(t.chunks_exact(outputs));
        for ((y, t), d) in rows.zip(d.chunks_exact_mut(outputs)) {
            let mut own = T::zero();
            for ((y, t), d) in y.iter().zip(t).zip(d) {
                let r = *y - *t;
                *d = r + r;
                own += r * r;
            }
            total += own.f64();
        }
        total
    }
}

fn logistic<T: Real>(y: &[T], t: &[T], d: &mut [T], outputs: usize) -> f64 {
    let one = T::one();
    let mut total = 0.0;
    let rows = y.chunks_exact(outputs).zip(t.chunks_exact(outputs));
    for ((y, t), d) in rows.zip(d.chunks_exact_mut(outputs)) {
        let mut own = T::zero();
        for ((y, t), d) in y.iter().zip(t).zip(d) {
            // softplus(y) - t y, without overflow.
            let small = (-y.abs()).exp();
            let p = if *y >= T::zero() { one / (one + small) } else { small / (one + small) };
            *d = p - *t;
            own += y.max(T::zero()) - *t * *y + small.ln_1p();
        }
        total += own.f64();
    }
    total
}

vectorised! {
    /// Exponentials of all rows are taken in one pass, so that they fill vectors.
    fn softmax<'a, T>(y: &'a [T], t: &'a [T], d: &'a mut [T], outputs: usize) -> f64 {
        for (y, d) in y.chunks_exact(outputs).zip(d.chunks_exact_mut(outputs)) {
            let largest = y.iter().fold(T::neg_infinity(), |most, y| if *y > most { *y } else { most });
            for (y, d) in y.iter().zip(d) {
                *d = *y - largest;
            }
        }
        let mut total = 0.0;
        let rows = t.chunks_exact(outputs).zip(d.chunks_exact(outputs));
        // Targets times differences now, times the logarithm of the sum below.
        for (t, d) in rows {
            for (t, d) in t.iter().zip(d) {
                total -= (*t * *d).f64();
            }
        }
        for d in d.iter_mut() {
            *d = T::of(exp(d.f64()));
        }
        for (t, d) in t.chunks_exact(outputs).zip(d.chunks_exact_mut(outputs)) {
            let (mut sum, mut mass) = (T::zero(), T::zero());
            for (t, d) in t.iter().zip(&*d) {
                sum += *d;
                // The targets of a row may be any distribution; their sum is 1 up to rounding.
                mass += *t;
            }
            let factor = mass / sum;
            for (t, d) in t.iter().zip(d) {
                *d = factor * *d - *t;
            }
            total += mass.f64() * sum.f64().ln();
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::real::levels;

    #[test]
    fn losses_and_derivatives_are_those_of_the_definitions() {
        let outputs = 5;
        let y: Vec<f64> = (0..65).map(|i| f64::from(i * 37 % 23) - 11.0).collect();
        let t: Vec<f64> = (0..65).map(|i| f64::from(u8::from(i % outputs == i / 7 % 5))).collect();
        let near = |own: f64, wanted: f64| {
            assert!((own - wanted).abs() <= 1e-13 * (1.0 + wanted.abs()), "{own} and not {wanted}");
        };
        let outputs = outputs as usize;
        for loss in [Loss::MeanSquaredError, Loss::LogisticCrossEntropy, Loss::SoftmaxCrossEntropy]
        {
            let (total, d) = levels::same(|| {
                let mut d = vec![0.0; y.len()];
                (rows(loss, &y, &t, &mut d, outputs), d)
            });
            let mut wanted = 0.0;
            for (i, (&y_i, &t_i)) in y.iter().zip(&t).enumerate() {
                let first = i / outputs * outputs;
                let sum: f64 = y[first..][..outputs].iter().map(|y| y.exp()).sum();
                let mass: f64 = t[first..][..outputs].iter().sum();
                let (value, derivative) = match loss {
                    Loss::MeanSquaredError => ((y_i - t_i).powi(2), 2.0 * (y_i - t_i)),
                    Loss::LogisticCrossEntropy => {
                        let p = 1.0 / (1.0 + (-y_i).exp());
                        (-t_i * p.ln() - (1.0 - t_i) * (1.0 - p).ln(), p - t_i)
                    }
                    Loss::SoftmaxCrossEntropy => {
                        let p = y_i.exp() / sum;
                        (-t_i * p.ln(), mass * p - t_i)
                    }
                };
                wanted += value;
                near(d[i], derivative);
            }
            assert!((total - wanted).abs() <= 1e-10 * wanted, "{loss:?}: {total} and not {wanted}");
        }
    }
}
