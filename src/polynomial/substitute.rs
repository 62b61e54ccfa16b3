//! Putting numbers or polynomials in the place of variables, by Horner's rule.

use super::{Coefficient, Polynomial};
use crate::error::{Error, Result};

impl<C: Coefficient> Polynomial<C> {
    /// The value at `point`, one number a variable, in the arithmetic of `C`.
    ///
    /// Exact for exact types; for a bound on what `f64` loses see
    /// [`Polynomial::evaluate_bounded`]. Cost: about one product a term (Horner's rule in
    /// lexicographic order).
    ///
    /// # Errors
    /// If the point does not have one entry a variable.
    pub fn evaluate(&self, point: &[C]) -> Result<C> {
        self.check_length("point", point.len())?;
        let value = self.horner(
            |c| c.clone(),
            |sum, other| sum.add_assign(&other),
            |value, i, power| Ok(value.mul(&point[i].pow(power))),
        )?;
        Ok(value.unwrap_or_else(C::zero))
    }

    /// The polynomial with `inner[i]` in the place of variable `i`.
    ///
    /// The result has the variables of the inner polynomials (none if there are none).
    /// Cost: about one product of polynomials a term (Horner's rule).
    ///
    /// # Errors
    /// If there is not one inner polynomial a variable, if these differ in their number of
    /// variables, or if the total degree leaves `u32`.
    pub fn compose(&self, inner: &[Polynomial<C>]) -> Result<Polynomial<C>> {
        self.check_length("inner polynomials", inner.len())?;
        let variables = inner.first().map_or(0, Polynomial::variables);
        if let Some(other) = inner.iter().find(|p| p.variables() != variables) {
            return Err(Error::invalid(
                "inner polynomials",
                format!("{variables} and {} variables", other.variables()),
                "the same number of variables in all",
            ));
        }
        let value = self.horner(
            |c| Polynomial::constant(variables, c.clone()),
            |sum, other| *sum += &other,
            |value, i, power| value.times_power(&inner[i], power),
        )?;
        Ok(value.unwrap_or_else(|| Polynomial::zero(variables)))
    }

    /// The polynomial with `inner` in the place of variable `i` and the others as they are.
    ///
    /// # Errors
    /// If the numbers of variables differ or the total degree leaves `u32`.
    ///
    /// # Panics
    /// If there is no variable `i`.
    pub fn substitute(&self, i: usize, inner: &Polynomial<C>) -> Result<Polynomial<C>> {
        self.check_index(i);
        self.check_length("variables of the inner polynomial", inner.variables())?;
        let mut order: Vec<usize> = (0..self.len()).collect();
        // Stable: the terms of one power stay in graded order.
        order.sort_by_key(|&t| std::cmp::Reverse(self.row(t)[i]));
        let mut value = Polynomial::zero(self.variables);
        let mut terms = order.into_iter().peekable();
        while let Some(&t) = terms.peek() {
            let power = self.row(t)[i];
            let mut outer = Polynomial::zero(self.variables);
            while let Some(t) = terms.next_if(|&t| self.row(t)[i] == power) {
                let mut exponents = self.row(t).to_vec();
                exponents[i] = 0;
                outer.push(&exponents, self.coefficients[t].clone());
            }
            value += &outer;
            let below = terms.peek().map_or(0, |&t| self.row(t)[i]);
            value = value.times_power(inner, power - below)?;
        }
        Ok(value)
    }

    /// The polynomial with the number `value` in the place of variable `i`.
    ///
    /// The number of variables stays; variable `i` no longer occurs.
    ///
    /// # Panics
    /// If there is no variable `i`.
    #[must_use]
    pub fn fix(&self, i: usize, value: &C) -> Polynomial<C> {
        self.check_index(i);
        let mut powers = std::collections::BTreeMap::new();
        for t in 0..self.len() {
            powers.entry(self.row(t)[i]).or_insert_with(C::zero);
        }
        let (mut last, mut power) = (0, C::one());
        for (&exponent, entry) in &mut powers {
            power = power.mul(&value.pow(exponent - last));
            last = exponent;
            entry.clone_from(&power);
        }
        let mut result = Polynomial::zero(self.variables);
        for (exponents, c) in self.terms() {
            let start = result.exponents.len();
            let factor = &powers[&exponents[i]];
            result.push(exponents, if exponents[i] == 0 { c.clone() } else { c.mul(factor) });
            if let Some(exponent) = result.exponents.get_mut(start + i) {
                *exponent = 0;
            }
        }
        result.normalise();
        result
    }

    /// The polynomial in the variables `x_i - centre_i` read as one in `x_i`: `P(x + centre)`.
    ///
    /// # Errors
    /// If the centre does not have one entry a variable.
    pub fn shift(&self, centre: &[C]) -> Result<Polynomial<C>> {
        self.check_length("centre", centre.len())?;
        let n = self.variables;
        let inner: Vec<_> = centre
            .iter()
            .enumerate()
            .map(|(i, c)| &Polynomial::variable(n, i) + &Polynomial::constant(n, c.clone()))
            .collect();
        self.compose(&inner)
    }

    /// `self * factor^power`.
    fn times_power(self, factor: &Polynomial<C>, power: u32) -> Result<Polynomial<C>> {
        if factor.len() <= 1 {
            return self.checked_mul(&factor.pow(power)?);
        }
        (0..power).try_fold(self, |value, _| value.checked_mul(factor))
    }

    /// Horner's rule in several variables, for whatever `V` the variables stand for.
    ///
    /// `lift` makes a value of a coefficient, `add` adds one to another, `raise` multiplies
    /// one by a power of a variable's value. `None` stands for zero. The terms are walked in
    /// descending lexicographic order with one open sum a variable: `open[i]` is to be
    /// multiplied by the power `previous[i]` of variable `i`, less what later terms share of it.
    /// No recursion, so that many variables cannot exhaust the stack.
    fn horner<V>(
        &self,
        lift: impl Fn(&C) -> V,
        add: impl Fn(&mut V, V),
        raise: impl Fn(V, usize, u32) -> Result<V>,
    ) -> Result<Option<V>> {
        let n = self.variables;
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by(|&a, &b| self.row(b).cmp(self.row(a)));
        let join = |sum: &mut Option<V>, value: Option<V>| match (sum.as_mut(), value) {
            (Some(sum), Some(value)) => add(sum, value),
            (None, value) => *sum = value,
            (_, None) => {}
        };
        // open[n] is the constant of the innermost sum.
        let mut open: Vec<Option<V>> = (0..=n).map(|_| None).collect();
        let constant = vec![0; n];
        for (k, &t) in order.iter().enumerate() {
            open[n] = Some(lift(&self.coefficients[t]));
            let row = self.row(t);
            let next = order.get(k + 1).map_or(constant.as_slice(), |&t| self.row(t));
            // Where the next term first differs; after the last, everything closes.
            let shared = if k + 1 == order.len() {
                0
            } else {
                row.iter().zip(next).take_while(|(a, b)| a == b).count()
            };
            for i in (shared..n).rev() {
                let inner = open[i + 1].take();
                join(&mut open[i], inner);
                let power = if i == shared { row[i] - next[i] } else { row[i] };
                if power > 0
                    && let Some(value) = open[i].take()
                {
                    open[i] = Some(raise(value, i, power)?);
                }
            }
        }
        // With the last term all sums closed into the outermost.
        Ok(open.swap_remove(0))
    }
}
