//! The promise: every polynomial operation is the one of mathematics.
//!
//! Each is compared with a naive oracle, a `BTreeMap` from exponents to fractions on which
//! the operations are written as their definitions. Over `f64` the coefficients are small
//! integers, so that its arithmetic is exact as well.

use std::collections::BTreeMap;

use ndarray::Array2;
use num_bigint::{BigInt, BigUint};
use num_rational::BigRational;
use num_traits::Signed;
use proptest::prelude::*;
use slnn::Polynomial;
use slnn::numeric::Dyadic;
use slnn::numeric::rational::{
    convergents, format_exact, parse_exact, rational_from_f64, rational_to_f64, simplest_between,
};
use slnn::polynomial::{
    Coefficient, FloatForm, Packed, Univariate, graded_order, graded_rank, monomial_count,
    monomials,
};

// --- the oracle -----------------------------------------------------------------------------

type Naive = BTreeMap<Vec<u32>, BigRational>;

fn clean(mut p: Naive) -> Naive {
    p.retain(|_, c| !c.is_zero());
    p
}

fn naive_add(a: &Naive, b: &Naive) -> Naive {
    let mut sum = a.clone();
    for (e, c) in b {
        *sum.entry(e.clone()).or_insert_with(Coefficient::zero) += c;
    }
    clean(sum)
}

fn naive_mul(a: &Naive, b: &Naive) -> Naive {
    let mut product = Naive::new();
    for (e, c) in a {
        for (f, d) in b {
            let exponents = e.iter().zip(f).map(|(x, y)| x + y).collect();
            *product.entry(exponents).or_insert_with(Coefficient::zero) += c * d;
        }
    }
    clean(product)
}

fn naive_scale(a: &Naive, factor: &BigRational) -> Naive {
    clean(a.iter().map(|(e, c)| (e.clone(), c * factor)).collect())
}

fn naive_pow(a: &Naive, exponent: u32, variables: usize) -> Naive {
    let one = Naive::from([(vec![0; variables], Coefficient::one())]);
    (0..exponent).fold(one, |power, _| naive_mul(&power, a))
}

/// The definition: every term with its powers written out.
fn naive_compose(a: &Naive, inner: &[Naive], variables: usize) -> Naive {
    a.iter().fold(Naive::new(), |sum, (e, c)| {
        let constant = Naive::from([(vec![0; variables], c.clone())]);
        let term = e
            .iter()
            .zip(inner)
            .fold(constant, |term, (&k, q)| naive_mul(&term, &naive_pow(q, k, variables)));
        naive_add(&sum, &clean(term))
    })
}

fn naive_evaluate(a: &Naive, point: &[BigRational]) -> BigRational {
    a.iter().fold(Coefficient::zero(), |sum: BigRational, (e, c)| {
        sum + e.iter().zip(point).fold(c.clone(), |term, (&k, x)| term * x.pow(k as i32))
    })
}

/// A number of each coefficient type, and the fraction that it is.
trait Exact: Coefficient {
    fn of(value: i64) -> Self;
    fn fraction(&self) -> BigRational;
}

impl Exact for BigRational {
    /// Fractions of several denominators, some of them repeated.
    fn of(value: i64) -> Self {
        BigRational::new(value.into(), BigInt::from(value.unsigned_abs() % 7 + 1))
    }
    fn fraction(&self) -> BigRational {
        self.clone()
    }
}

impl Exact for BigInt {
    /// Small integers and integers of several words.
    fn of(value: i64) -> Self {
        let value = BigInt::from(value);
        if value.bit(0) { value } else { value << 70 }
    }
    fn fraction(&self) -> BigRational {
        self.clone().into()
    }
}

impl Exact for Dyadic {
    fn of(value: i64) -> Self {
        Dyadic::new(value.into(), value % 5)
    }
    fn fraction(&self) -> BigRational {
        self.to_rational()
    }
}

impl Exact for f64 {
    fn of(value: i64) -> Self {
        value as f64
    }
    fn fraction(&self) -> BigRational {
        rational_from_f64(*self).unwrap()
    }
}

fn naive<C: Exact>(p: &Polynomial<C>) -> Naive {
    // The invariants of the type, seen by every comparison: strict order and no zeros.
    let rows: Vec<_> = p.terms().map(|(e, _)| e.to_vec()).collect();
    assert!(rows.windows(2).all(|pair| graded_order(&pair[0], &pair[1]).is_lt()));
    assert!(p.terms().all(|(_, c)| !c.is_zero()));
    p.terms().map(|(e, c)| (e.to_vec(), c.fraction())).collect()
}

/// Terms before they have a coefficient type.
type Raw = Vec<(Vec<u32>, i64)>;

fn build<C: Exact>(variables: usize, raw: &Raw) -> Polynomial<C> {
    Polynomial::from_terms(variables, raw.iter().map(|(e, c)| (e, C::of(*c)))).unwrap()
}

fn raw(variables: usize, terms: usize, power: u32) -> impl Strategy<Value = Raw> {
    let exponents = prop::collection::vec(0..=power, variables);
    prop::collection::vec((exponents, -9_i64..10), 0..=terms)
}

/// Several polynomials in as many variables.
fn raws(terms: usize, power: u32) -> impl Strategy<Value = (usize, Raw, Raw, Raw)> {
    (0_usize..5).prop_flat_map(move |n| {
        (Just(n), raw(n, terms, power), raw(n, terms, power), raw(n, terms, power))
    })
}

// --- same as naive --------------------------------------------------------------------------

/// Everything that a ring gives, in one coefficient type.
fn ring<C: Exact>(n: usize, a: &Raw, b: &Raw, c: &Raw) -> Result<(), TestCaseError> {
    let (p, q, r) = (build::<C>(n, a), build::<C>(n, b), build::<C>(n, c));
    let (np, nq) = (naive(&p), naive(&q));
    let summed = a.iter().fold(Naive::new(), |sum, (e, c)| {
        naive_add(&sum, &clean(Naive::from([(e.clone(), C::of(*c).fraction())])))
    });
    prop_assert_eq!(&np, &summed);

    prop_assert_eq!(naive(&(&p + &q)), naive_add(&np, &nq));
    let minus = BigRational::from_integer((-1).into());
    prop_assert_eq!(naive(&(&p - &q)), naive_add(&np, &naive_scale(&nq, &minus)));
    prop_assert_eq!(naive(&-&p), naive_scale(&np, &minus));
    prop_assert_eq!(naive(&(&p * &q)), naive_mul(&np, &nq));
    let factor = C::of(3);
    prop_assert_eq!(naive(&p.scale(&factor)), naive_scale(&np, &factor.fraction()));
    prop_assert!(p.scale(&C::zero()).is_zero());
    prop_assert_eq!(naive(&p.pow(3).unwrap()), naive_pow(&np, 3, n));
    prop_assert_eq!(p.pow(0).unwrap(), Polynomial::constant(n, C::one()));

    let mut sum = p.clone();
    sum += &q;
    prop_assert_eq!(&sum, &(&p + &q));
    sum -= &q;
    prop_assert_eq!(&sum, &p);
    sum.add_scaled(&factor, &q);
    prop_assert_eq!(&sum, &(&p + &q.scale(&factor)));
    prop_assert_eq!(p.checked_sub(&q).unwrap(), &p - &q);

    // The axioms.
    prop_assert_eq!(&p + &q, &q + &p);
    prop_assert_eq!(&p * &q, &q * &p);
    prop_assert_eq!(&(&p + &q) + &r, &p + &(&q + &r));
    prop_assert_eq!(&(&p * &q) * &r, &p * &(&q * &r));
    prop_assert_eq!(&p * &(&q + &r), &(&p * &q) + &(&p * &r));
    prop_assert!((&p - &p.clone()).is_zero());
    prop_assert_eq!(&p * &Polynomial::constant(n, C::one()), p.clone());
    prop_assert!((&p * &Polynomial::zero(n)).is_zero());

    // Degrees, parts and look-up.
    let product = &p * &q;
    let degrees: Vec<u32> = np.keys().map(|e| e.iter().sum()).collect();
    prop_assert_eq!(p.degree(), degrees.iter().max().copied());
    if let (Some(d), Some(e)) = (p.degree(), q.degree()) {
        prop_assert_eq!(product.degree(), Some(d + e), "a ring without divisors of zero");
    }
    for i in 0..n {
        prop_assert_eq!(p.degree_in(i), np.keys().map(|e| e[i]).max().unwrap_or(0));
    }
    let mut parts = Polynomial::zero(n);
    for degree in 0..=product.degree().unwrap_or(0) {
        parts += &product.homogeneous_part(degree);
        prop_assert_eq!(&parts, &product.truncate(degree));
        prop_assert_eq!(&parts, &p.mul_truncated(&q, degree));
    }
    prop_assert_eq!(&parts, &product);
    for (e, c) in p.terms() {
        prop_assert_eq!(p.coefficient(e), Some(c));
    }
    prop_assert_eq!(p.coefficient(&vec![77; n.max(1)][..n]).is_some(), n == 0 && !p.is_zero());
    let backwards: Vec<_> = p.terms().rev().map(|(e, c)| (e.to_vec(), c.clone())).collect();
    prop_assert_eq!(backwards.len(), p.terms().len());
    prop_assert_eq!(Polynomial::from_terms(n, backwards).unwrap(), p);
    Ok(())
}

/// Evaluation and substitution, which are homomorphisms.
fn substitution<C: Exact>(
    n: usize,
    a: &Raw,
    b: &Raw,
    inner: &[Raw],
    point: &[i64],
) -> Result<(), TestCaseError> {
    let (p, q) = (build::<C>(n, a), build::<C>(n, b));
    let (np, nq) = (naive(&p), naive(&q));
    let x: Vec<C> = point[..n].iter().map(|&x| C::of(x)).collect();
    let fractions: Vec<_> = x.iter().map(Exact::fraction).collect();
    let at = |p: &Polynomial<C>| p.evaluate(&x).unwrap().fraction();
    prop_assert_eq!(at(&p), naive_evaluate(&np, &fractions));
    prop_assert_eq!(at(&(&p + &q)), at(&p) + at(&q));
    prop_assert_eq!(at(&(&p * &q)), at(&p) * at(&q));
    prop_assert_eq!(at(&Polynomial::constant(n, C::one())), Coefficient::one());

    // Inner polynomials in two variables.
    let inner: Vec<Polynomial<C>> = inner[..n].iter().map(|raw| build(2, raw)).collect();
    let naives: Vec<Naive> = inner.iter().map(naive).collect();
    let inner_variables = if n == 0 { 0 } else { 2 };
    let composed = p.compose(&inner).unwrap();
    prop_assert_eq!(naive(&composed), naive_compose(&np, &naives, inner_variables));
    if n > 0 {
        let y = [C::of(2), C::of(-3)];
        let values: Vec<C> = inner.iter().map(|p| p.evaluate(&y).unwrap()).collect();
        prop_assert_eq!(composed.evaluate(&y).unwrap(), p.evaluate(&values).unwrap());
    }

    let identity: Vec<Polynomial<C>> = (0..n).map(|i| Polynomial::variable(n, i)).collect();
    if n > 0 {
        prop_assert_eq!(&p.compose(&identity).unwrap(), &p);
    }
    for i in 0..n {
        let mut replaced: Vec<Naive> = identity.iter().map(naive).collect();
        replaced[i] = nq.clone();
        prop_assert_eq!(
            naive(&p.substitute(i, &q).unwrap()),
            naive_compose(&np, &replaced, n),
            "x{} becomes {}",
            i + 1,
            q
        );
        replaced[i] = clean(Naive::from([(vec![0; n], fractions[i].clone())]));
        prop_assert_eq!(naive(&p.fix(i, &x[i])), naive_compose(&np, &replaced, n));
    }
    if n > 0 {
        let shifted = p.shift(&x).unwrap();
        let back: Vec<C> = x.iter().map(Coefficient::neg).collect();
        prop_assert_eq!(shifted.evaluate(&vec![C::zero(); n]).unwrap(), p.evaluate(&x).unwrap());
        prop_assert_eq!(&shifted.shift(&back).unwrap(), &p);
    }
    Ok(())
}

/// Derivatives: the definition, Leibniz's rule and the chain rule.
fn derivatives<C: Exact>(n: usize, a: &Raw, b: &Raw, inner: &[Raw]) -> Result<(), TestCaseError> {
    let (p, q) = (build::<C>(n, a), build::<C>(n, b));
    for i in 0..n {
        let by_definition = clean(
            naive(&p)
                .into_iter()
                .filter(|(e, _)| e[i] > 0)
                .map(|(mut e, c)| {
                    let factor = BigRational::from_integer(e[i].into());
                    e[i] -= 1;
                    (e, c * factor)
                })
                .collect(),
        );
        prop_assert_eq!(naive(&p.derivative(i)), by_definition);
        let leibniz = &(&p.derivative(i) * &q) + &(&p * &q.derivative(i));
        prop_assert_eq!((&p * &q).derivative(i), leibniz);
    }
    if n > 0 {
        let inner: Vec<Polynomial<C>> = inner[..n].iter().map(|raw| build(2, raw)).collect();
        for j in 0..2 {
            let chain = (0..n).fold(Polynomial::zero(2), |sum, i| {
                &sum + &(&p.derivative(i).compose(&inner).unwrap() * &inner[i].derivative(j))
            });
            prop_assert_eq!(p.compose(&inner).unwrap().derivative(j), chain);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    #[test]
    fn rings_are_as_naive((n, a, b, c) in raws(7, 3)) {
        ring::<BigRational>(n, &a, &b, &c)?;
        ring::<BigInt>(n, &a, &b, &c)?;
        ring::<Dyadic>(n, &a, &b, &c)?;
        ring::<f64>(n, &a, &b, &c)?;
    }

    #[test]
    fn substitution_is_as_naive(
        (n, a, b, _) in raws(5, 2),
        inner in prop::collection::vec(raw(2, 3, 1), 4),
        point in prop::collection::vec(-4_i64..5, 4),
    ) {
        substitution::<BigRational>(n, &a, &b, &inner, &point)?;
        substitution::<BigInt>(n, &a, &b, &inner, &point)?;
        substitution::<Dyadic>(n, &a, &b, &inner, &point)?;
        // At most 10^5 * 9^16 would not be exact: fewer and smaller in f64.
        let small = |raw: &Raw| raw.iter().take(3).map(|(e, c)| (e.clone(), c % 3)).collect::<Raw>();
        let point: Vec<i64> = point.iter().map(|x| x % 3).collect();
        let inner: Vec<Raw> = inner.iter().map(small).collect();
        substitution::<f64>(n.min(3), &first(n, &small(&a)), &first(n, &small(&b)), &inner, &point)?;
    }

    #[test]
    fn derivatives_are_as_naive(
        (n, a, b, _) in raws(5, 2),
        inner in prop::collection::vec(raw(2, 3, 1), 4),
    ) {
        derivatives::<BigRational>(n, &a, &b, &inner)?;
        derivatives::<BigInt>(n, &a, &b, &inner)?;
        derivatives::<Dyadic>(n, &a, &b, &inner)?;
    }

    #[test]
    fn integrals_are_differences_of_antiderivatives(
        (n, a, _, _) in raws(6, 4),
        bounds in prop::collection::vec((-9_i64..10, -9_i64..10), 4),
    ) {
        let p = build::<BigRational>(n, &a);
        let bounds: Vec<_> = bounds[..n]
            .iter()
            .map(|(l, u)| (BigRational::of(*l), BigRational::of(*u)))
            .collect();
        let mut inner = p.clone();
        for (i, (lower, upper)) in bounds.iter().enumerate() {
            let integral = inner.antiderivative(i).unwrap();
            prop_assert_eq!(&integral.derivative(i), &inner);
            prop_assert!(integral.fix(i, &Coefficient::zero()).is_zero());
            inner = &integral.fix(i, upper) - &integral.fix(i, lower);
        }
        let constant = inner.coefficient(&vec![0; n]).cloned().unwrap_or_else(Coefficient::zero);
        prop_assert_eq!(p.integrate_box(&bounds).unwrap(), constant);
    }

    #[test]
    fn univariate_polynomials_are_polynomials_in_one_variable(
        a in prop::collection::vec(-9_i64..10, 0..6),
        b in prop::collection::vec(-9_i64..10, 0..4),
        z in -9_i64..10,
    ) {
        let small = |c: &[i64]| Univariate::new(c.iter().map(|&c| BigRational::of(c)).collect());
        let several = |p: &Univariate<BigRational>| {
            let terms = p.coefficients().iter().enumerate().map(|(k, c)| ([k as u32], c.clone()));
            Polynomial::from_terms(1, terms).unwrap()
        };
        let (p, q) = (small(&a), small(&b));
        let (sp, sq) = (several(&p), several(&q));
        prop_assert_eq!(several(&(&p + &q)), &sp + &sq);
        prop_assert_eq!(several(&(&p - &q)), &sp - &sq);
        prop_assert_eq!(several(&(&p * &q)), &sp * &sq);
        prop_assert_eq!(several(&-&p), -&sp);
        prop_assert_eq!(several(&p.derivative()), sp.derivative(0));
        prop_assert_eq!(several(&p.compose(&q)), sp.compose(std::slice::from_ref(&sq)).unwrap());
        prop_assert_eq!(p.of(&sq).unwrap(), several(&p.compose(&q)));
        let z = BigRational::of(z);
        prop_assert_eq!(p.evaluate(&z), sp.evaluate(std::slice::from_ref(&z)).unwrap());
        prop_assert_eq!(several(&p.scale(&z)), sp.scale(&z));
        prop_assert_eq!(p.degree().map(|d| d as u32), sp.degree());
        prop_assert_eq!(Univariate::new(p.clone().into_coefficients()), p);
    }
}

/// Terms in the first three variables only.
fn first(n: usize, raw: &Raw) -> Raw {
    raw.iter().map(|(e, c)| (e[..n.min(3)].to_vec(), *c)).collect()
}

#[test]
fn products_agree_whatever_finds_their_sums() {
    // The box of exponents is small (a table), below 2^64, below 2^128 and beyond (whole rows are
    // the keys): the same polynomials, with every variable repeated and every exponent stretched.
    let spread = |p: &Naive, copies: usize, stretch: u32| -> Naive {
        p.iter()
            .map(|(e, c)| {
                let row = e.iter().cycle().take(3 * copies).map(|e| e * stretch).collect();
                (row, c.clone())
            })
            .collect()
    };
    let raw = |shift: i64| -> Naive {
        let terms = (0..40_u32).map(|k| (vec![k % 3, k / 3 % 3, k % 5], i64::from(k) - shift));
        naive(&build::<BigRational>(3, &terms.collect()))
    };
    let (a, b) = (raw(17), raw(23));
    let product = naive_mul(&a, &b);
    for (copies, stretch) in [(1, 1), (1, 1 << 15), (2, 1 << 15), (4, 1 << 15)] {
        let wide = |p: &Naive| {
            let p = Polynomial::from_terms(3 * copies, spread(p, copies, stretch)).unwrap();
            assert!(p.degree().is_some());
            p
        };
        let found = &wide(&a) * &wide(&b);
        assert_eq!(naive(&found), spread(&product, copies, stretch), "{copies} times {stretch}");
    }
    // Unrelated denominators: not by way of the integers.
    let unrelated = |shift: u64| {
        let terms = (0..12_u64).map(|k| {
            let denominator = (BigInt::from(k + shift) << 200) + 2 * k + 1;
            (vec![k as u32 % 4, k as u32 / 4], BigRational::new(7.into(), denominator))
        });
        Polynomial::from_terms(2, terms).unwrap()
    };
    let (p, q) = (unrelated(1), unrelated(100));
    assert_eq!(naive(&(&p * &q)), naive_mul(&naive(&p), &naive(&q)));
}

// --- order ----------------------------------------------------------------------------------

#[test]
fn graded_order_is_the_documented_one() {
    let listed: Vec<_> = monomials(2, 2).collect();
    assert_eq!(listed, [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]);
    for (n, degree) in [(0, 3), (1, 5), (2, 6), (3, 5), (5, 3), (9, 2)] {
        let all: Vec<_> = monomials(n, degree).collect();
        // Pascal's rule counts them independently.
        let pascal = (0..n).fold(vec![1_u64; degree as usize + 1], |row, _| {
            row.iter()
                .scan(0, |sum, c| {
                    *sum += c;
                    Some(*sum)
                })
                .collect()
        });
        assert_eq!(all.len() as u64, pascal[degree as usize]);
        assert_eq!(monomial_count(n, degree), BigUint::from(all.len()));
        for (k, e) in all.iter().enumerate() {
            assert_eq!(graded_rank(e), BigUint::from(k), "{e:?}");
            assert!(k == 0 || graded_order(&all[k - 1], e).is_lt());
        }
    }
    assert_eq!(monomial_count(784, 4).to_string(), "15943435565");
}

#[test]
fn degrees_that_leave_32_bits_are_errors() {
    let top = u32::MAX;
    let x = Polynomial::<BigInt>::from_terms(2, [([top, 0], 1.into())]).unwrap();
    let y = Polynomial::<BigInt>::variable(2, 1);
    assert_eq!(x.degree(), Some(top));
    assert!(x.checked_mul(&y).is_err());
    assert!(x.pow(2).is_err());
    assert!(x.compose(&[&y * &y, y.clone()]).is_err());
    assert!(x.substitute(0, &(&y * &y)).is_err());
    assert!(x.to_rational().antiderivative(1).is_err());
    assert!(x.mul_truncated(&y, top).is_zero());
    assert!(Polynomial::<BigInt>::from_terms(2, [([top, 1], 1.into())]).is_err());
    // A huge power of one term, of zero and of one are cheap.
    assert_eq!(y.pow(top).unwrap().degree(), Some(top));
    assert!(Polynomial::<BigInt>::zero(2).pow(top).unwrap().is_zero());
    assert_eq!(x.fix(0, &1.into()), Polynomial::constant(2, 1.into()));
    // And shapes that do not fit.
    assert!(x.checked_add(&Polynomial::zero(3)).is_err());
    assert!(x.evaluate(&[1.into()]).is_err());
    assert!(x.compose(std::slice::from_ref(&y)).is_err());
    assert!(x.compose(&[y, Polynomial::variable(3, 0)]).is_err());
    assert!(Polynomial::<BigInt>::from_terms(2, [([1], 1.into())]).is_err());
}

// --- f64 evaluation -------------------------------------------------------------------------

/// Numbers of all magnitudes, mostly ordinary.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -2.0..2.0_f64,
        2 => (-8_i32..9).prop_map(f64::from),
        1 => (prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL).prop_map(|x| x),
        1 => (-1074_i32..1023).prop_map(|k| 1.3 * 2.0_f64.powi(k)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..Default::default() })]

    #[test]
    fn f64_evaluation_stays_within_its_bound(
        (n, exponents, coefficients, points) in (0_usize..4).prop_flat_map(|n| (
            Just(n),
            prop::collection::vec(prop::collection::vec(0_u32..9, n), 12),
            prop::collection::vec((float(), 1_u64..9), 0..12),
            prop::collection::vec(prop::collection::vec(float(), n), 1..20),
        )),
        cut in 0_u32..9,
    ) {
        // Low powers make terms share their factors; f64 and rational coefficients.
        let rows = exponents.iter().map(|e| e.iter().map(|&e| e.saturating_sub(cut)).collect::<Vec<u32>>());
        let p = Polynomial::from_terms(n, rows.clone().zip(coefficients.iter().map(|(c, _)| *c)))
            .unwrap();
        let q = Polynomial::from_terms(n, rows.zip(&coefficients).map(|(e, (c, d))| {
            (e, rational_from_f64(*c).unwrap() / BigInt::from(*d))
        })).unwrap();
        // Sums of equal monomials may overflow.
        let (Ok(exact_p), Ok(form_p), Ok(form_q)) =
            (p.to_dyadic(), FloatForm::new(&p), FloatForm::new(&q)) else { return Ok(()) };
        let flat: Vec<f64> = points.iter().flatten().copied().collect();
        let batch = Array2::from_shape_vec((points.len(), n), flat).unwrap();
        let (values, errors) = form_p.evaluate_batch(batch.view()).unwrap();
        for (k, point) in points.iter().enumerate() {
            let y = form_p.evaluate(point).unwrap();
            prop_assert_eq!((y.value, y.error), (values[k], errors[k]), "batches change nothing");
            let x: Vec<Dyadic> = point.iter().map(|x| Dyadic::from_f64(*x).unwrap()).collect();
            let exact = exact_p.evaluate(&x).unwrap();
            within(y.value, y.error, &exact.to_rational())?;
            let x: Vec<_> = x.iter().map(Dyadic::to_rational).collect();
            let z = form_q.evaluate(point).unwrap();
            within(z.value, z.error, &q.evaluate(&x).unwrap())?;
            // The bound is of use: where nothing is extreme it is a few roundings of the terms.
            let sizes = point.iter().chain(coefficients.iter().map(|(c, _)| c));
            if sizes.clone().all(|s| *s == 0.0 || (1e-3..=10.0).contains(&s.abs())) {
                let sum = p.map(|c| c.abs()).evaluate(
                    &point.iter().map(|x| x.abs()).collect::<Vec<_>>()).unwrap();
                prop_assert!(y.error <= 40.0 * f64::EPSILON * sum + 1e-300, "{:?} {sum}", y);
            }
        }
    }
}

fn within(value: f64, error: f64, exact: &BigRational) -> Result<(), TestCaseError> {
    prop_assert!(!value.is_nan() && error >= 0.0);
    if error.is_finite() {
        let distance = (rational_from_f64(value).unwrap() - exact).abs();
        prop_assert!(distance <= rational_from_f64(error).unwrap(), "{value} ± {error}");
    }
    Ok(())
}

#[test]
fn f64_evaluation_at_the_edges() {
    let p = Polynomial::<f64>::from_terms(1, [([0], 0.5), ([u32::MAX], 1.0)]).unwrap();
    let at = |x: f64| p.evaluate_bounded(&[x]).unwrap();
    assert_eq!((at(2.0).error, at(-3.0).error), (f64::INFINITY, f64::INFINITY));
    assert!(at(0.5).error < 1e-15 && at(0.5).value == 0.5);
    assert!(p.evaluate_bounded(&[f64::NAN]).is_err() && p.evaluate_bounded(&[]).is_err());
    let zero = Polynomial::<f64>::zero(2).evaluate_bounded(&[1.0, 2.0]).unwrap();
    assert_eq!((zero.value, zero.error), (0.0, 0.0));
    let huge = Polynomial::parse("1e400 x", &["x"]).unwrap();
    assert!(huge.evaluate_bounded(&[1.0]).is_err() && huge.to_f64().is_err());
    // A power that underflows before a coefficient that makes it large again.
    let p = Polynomial::<f64>::from_terms(1, [([2], 1e300)]).unwrap();
    let y = p.evaluate_bounded(&[1e-170]).unwrap();
    assert!(y.value == 0.0 && y.error >= 1e-40);
    // No cancellation has condition 1; (x - 1)^2 near 1 has a large one.
    let square = Polynomial::parse("x^2 - 2 x + 1", &["x"]).unwrap();
    assert_eq!(square.condition(&[-1.0]).unwrap(), 1.0);
    assert!((square.condition(&[1.001]).unwrap() / 4e6 - 1.0).abs() < 0.1);
    assert_eq!(square.condition(&[1.0]).unwrap(), f64::INFINITY);
    // No points are no values.
    let (values, errors) = square.evaluate_batch(Array2::zeros((0, 1)).view()).unwrap();
    assert_eq!((values.len(), errors.len()), (0, 0));
}

// --- text -----------------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..Default::default() })]

    #[test]
    fn text_goes_there_and_back((n, a, _, _) in raws(7, 12), odd in any::<bool>()) {
        let plain = ["x1", "x2", "x3", "x4"];
        let awkward = ["fixed acidity", "e5", "a\"b", ""];
        let names = if odd { &awkward[..n] } else { &plain[..n] };
        let p = build::<BigRational>(n, &a);
        prop_assert_eq!(&Polynomial::parse(&p.display_with(names).to_string(), names).unwrap(), &p);
        let p = build::<BigInt>(n, &a);
        prop_assert_eq!(Polynomial::parse(&p.display_with(names).to_string(), names).unwrap(), p.to_rational());
        let p = build::<Dyadic>(n, &a);
        prop_assert_eq!(Polynomial::parse(&p.display_with(names).to_string(), names).unwrap(), p.to_rational());
    }

    #[test]
    fn f64_coefficients_survive_text(
        coefficients in prop::collection::vec(
            prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, 1..5),
    ) {
        let terms = coefficients.iter().enumerate().map(|(k, c)| ([k as u32], *c));
        let p = Polynomial::from_terms(1, terms).unwrap();
        let back = Polynomial::parse(&p.to_string(), &["x1"]).unwrap();
        prop_assert_eq!(back.to_f64().unwrap(), p);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+*/^.0-9a-fpxe \"\u{2212}]{0,24}") {
        if let Ok(p) = Polynomial::parse(&text, &["x", "e"]) {
            prop_assert_eq!(Polynomial::parse(&p.display_with(&["x", "e"]).to_string(), &["x", "e"]).unwrap(), p);
        }
        if let Ok(value) = parse_exact(&text) {
            prop_assert_eq!(parse_exact(&format_exact(&value)).unwrap(), value);
        }
    }
}

#[test]
fn text_is_as_a_person_writes_it() {
    let names = ["x1", "x2", "x3"];
    for text in [
        "3/2 x1^2 x2 - x3 + 1",
        "-x1^2 + x1 x2 + x2^2 - 2",
        "0",
        "-7/3",
        "x1 + x2 + x3",
        "0x3p-4 x1",
    ] {
        let p = Polynomial::parse(text, &names).unwrap();
        let expected = text.replace("0x3p-4", "3/16");
        assert_eq!(p.display_with(&names).to_string(), expected);
        assert_eq!(p.to_string(), expected);
    }
    let same = |a: &str, b: &str| {
        assert_eq!(Polynomial::parse(a, &names).unwrap(), Polynomial::parse(b, &names).unwrap());
    };
    same("1.5*x1^2*x2-x3+1", "3/2 x1^2 x2 - x3 + 1");
    same(" + x1 ^ 2 * 3 ", "3 x1^2");
    same("1e-3 x1 + 25e2 x2 + .5 + 2.", "1/1000 x1 + 2500 x2 + 5/2");
    same("2/4 x1 x1", "1/2 x1^2");
    same("x1 - x1", "0");
    let f = Polynomial::<f64>::from_terms(1, [([1], -1e300), ([0], 0.1), ([2], 1.0)]).unwrap();
    assert_eq!(f.to_string(), "x1^2 - 1e300 x1 + 0.1");
}

#[test]
fn text_that_is_no_polynomial_is_refused_with_its_column() {
    let refused = |text: &str| Polynomial::parse(text, &["x", "y"]).unwrap_err().to_string();
    for (text, column, part) in [
        ("", 1, "the end"),
        ("x +", 4, "the end"),
        ("x \u{2212} y", 3, "ASCII minus"),
        ("x + z", 5, "\"x\", \"y\""),
        ("x^-1", 3, "exponent"),
        ("x^4294967296", 3, "4294967295"),
        ("x^4294967295 x", 15, "32 bits"),
        ("1e999999999", 2, "power of ten"),
        ("1e99999999999999999999 x", 2, "power of ten"),
        ("0x3p+2000000 x", 1, "2^20"),
        ("x 2", 3, "a variable, + or -"),
        ("2 3 x", 3, "a variable, + or -"),
        ("(x + 1)", 1, "a number or a variable"),
        ("x ** 2", 4, "a number or a variable"),
        ("1/0 x", 4, "not zero"),
        ("x / 2", 3, "a variable, + or -"),
        ("\"x", 1, "closing quote"),
        ("- - x", 3, "a number or a variable"),
    ] {
        let message = refused(text);
        assert!(message.contains(&format!("column {column}:")), "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
    }
    assert!(refused(&"9".repeat(1 << 20)).contains("2^18"));
    assert!(refused("x^4294967295 y").contains("total degree"));
    assert!(Polynomial::parse("x", &["x", "x"]).is_err());
}

// --- numbers --------------------------------------------------------------------------------

/// The neighbours of a nonnegative fraction among the nonnegative `f64`, by bisection on bits,
/// which are in the order of the numbers; the nearer, of two as near the one of even bits.
fn nearest_by_bisection(value: &BigRational) -> Option<f64> {
    let exact = |bits: u64| rational_from_f64(f64::from_bits(bits)).unwrap();
    let (mut low, mut high) = (0, f64::MAX.to_bits());
    if *value > exact(high) {
        // Overflow begins half a step above the largest number.
        let half = exact(high) + (exact(high) - exact(high - 1)) / BigInt::from(2);
        return (*value < half).then_some(f64::MAX);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if exact(middle) <= *value { low = middle } else { high = middle }
    }
    let (below, above) = (value - exact(low), exact(high) - value);
    let up = above < below || above == below && high & 1 == 0;
    Some(f64::from_bits(if up { high } else { low }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..Default::default() })]

    #[test]
    fn rounding_is_to_nearest_even(
        bits in any::<u64>(), step in -3_i64..4, denominator in 1_i64..9, p in any::<i64>(),
    ) {
        let x = f64::from_bits(bits & (u64::MAX >> 1));
        if x.is_finite() {
            prop_assert_eq!(rational_to_f64(&rational_from_f64(x).unwrap()), Some(x));
            prop_assert_eq!(Dyadic::from_f64(-x).unwrap().to_f64().map(f64::abs), Some(x));
            // At, near and exactly on the middle between neighbours.
            let ulp = rational_from_f64(x.next_up().min(f64::MAX)).unwrap()
                - rational_from_f64(x.next_up().min(f64::MAX).next_down()).unwrap();
            let near = rational_from_f64(x).unwrap() + ulp * BigRational::new(step.into(), (2 * denominator).into());
            if near >= Coefficient::zero() {
                prop_assert_eq!(rational_to_f64(&near), nearest_by_bisection(&near));
                prop_assert_eq!(rational_to_f64(&-&near).map(f64::abs), nearest_by_bisection(&near));
                if let Some(dyadic) = Dyadic::from_rational(&near) {
                    prop_assert_eq!(dyadic.to_f64(), nearest_by_bisection(&near));
                    prop_assert_eq!(dyadic.to_rational(), near);
                }
            }
        } else {
            prop_assert!(rational_from_f64(x).is_none() && Dyadic::from_f64(x).is_none());
        }
        let ratio = BigRational::new(p.into(), (denominator * 1_000_003).into());
        prop_assert_eq!(rational_to_f64(&ratio.abs()), nearest_by_bisection(&ratio.abs()));
    }

    #[test]
    fn dyadics_are_the_fractions_they_are(
        a in any::<i64>(), b in any::<i64>(), d in -90_i64..90, e in -90_i64..90,
    ) {
        let (x, y) = (Dyadic::new((a >> (a & 63)).into(), d), Dyadic::new((b >> (b & 63)).into(), e));
        let (p, q) = (x.to_rational(), y.to_rational());
        prop_assert_eq!((&x + &y).to_rational(), &p + &q);
        prop_assert_eq!((&x - &y).to_rational(), &p - &q);
        prop_assert_eq!((&x * &y).to_rational(), &p * &q);
        prop_assert_eq!((-&x).to_rational(), -&p);
        prop_assert_eq!(x.cmp(&y), p.cmp(&q));
        prop_assert_eq!(x == y, p == q);
        let shifted = &x + &Dyadic::new(1.into(), -200);
        prop_assert!(shifted > x && -&shifted < -&x);
        prop_assert_eq!(&(&(&x + &y) - &y), &x, "canonical after cancellation");
        for z in [&x, &y, &(&x + &y), &(&x - &x)] {
            prop_assert_eq!(&z.to_string().parse::<Dyadic>().unwrap(), z);
            prop_assert_eq!(parse_exact(&z.to_string()).unwrap(), z.to_rational());
            prop_assert_eq!(Dyadic::from_rational(&z.to_rational()), Some(z.clone()));
            prop_assert!(z.is_zero() && z.exponent() == 0 || z.mantissa().bit(0));
        }
    }

    #[test]
    fn exact_text_goes_there_and_back(p in any::<i128>(), q in 1_i64.., up in 0_usize..300) {
        let value = BigRational::new(BigInt::from(p).pow(3) << up, q.into());
        let text = format_exact(&value);
        prop_assert_eq!(parse_exact(&text).unwrap(), value.clone());
        // One spelling a number.
        for other in [format!("+{text}"), format!("0{text}"), format!("{text}/1"), format!(" {text}")] {
            prop_assert!(parse_exact(&other).is_err(), "{}", other);
        }
        let doubled = format!("{}/{}", value.numer() * 2, value.denom() * 2);
        prop_assert!(parse_exact(&doubled).is_err());
    }

    #[test]
    fn the_simplest_fraction_is_the_first_found(
        a in -60_i64..60, b in 1_i64..40, c in -60_i64..60, d in 1_i64..40,
    ) {
        let (x, y) = (BigRational::new(a.into(), b.into()), BigRational::new(c.into(), d.into()));
        let (lower, upper) = if x <= y { (&x, &y) } else { (&y, &x) };
        let found = simplest_between(&x, &y);
        // Denominators upwards, and numerators away from zero.
        let searched = (1_i64..)
            .find_map(|q| {
                (0_i64..=60 * q)
                    .flat_map(|p| [p, -p])
                    .map(|p| BigRational::new(p.into(), q.into()))
                    .find(|r| lower <= r && r <= upper)
            })
            .unwrap();
        prop_assert_eq!(found, searched);
    }

    #[test]
    fn convergents_are_best_approximations(a in -900_i64..900, b in 1_i64..60) {
        let value = BigRational::new(a.into(), b.into());
        let all: Vec<_> = convergents(&value).collect();
        prop_assert_eq!(all.first(), Some(&value.floor()));
        prop_assert_eq!(all.last(), Some(&value));
        for convergent in &all[1..] {
            prop_assert_eq!(convergent, &convergent.reduced());
            let error = (&value - convergent).abs();
            let limit = i64::try_from(convergent.denom()).unwrap();
            for q in 1..limit {
                let p = (&value * BigInt::from(q)).round();
                prop_assert!((&value - p / BigInt::from(q)).abs() > error);
            }
        }
    }
}

#[test]
fn numbers_at_the_edges() {
    let tie = |numerator: BigInt, exponent: i64| Dyadic::new(numerator, exponent).to_f64();
    let tiny = f64::from_bits(1);
    assert_eq!(tie(1.into(), -1075), Some(0.0), "half the least subnormal, to even");
    assert_eq!(tie(3.into(), -1076), Some(tiny), "three quarters of it");
    assert_eq!(tie(3.into(), -1075), Some(2.0 * tiny), "one and a half, to even");
    assert_eq!(tie((BigInt::one() << 54) - 1, 970), None, "half a step above the largest");
    assert_eq!(tie((BigInt::one() << 55) - 3, 969), Some(f64::MAX));
    assert_eq!(tie(1.into(), 1024), None);
    assert_eq!(Dyadic::from_f64(-0.0), Some(Dyadic::zero()));
    assert_eq!(rational_to_f64(&Coefficient::zero()), Some(0.0));
    for text in [
        "2/4",
        "+1",
        "01",
        "1/0",
        "-0",
        "0/1",
        "1/1",
        "3/01",
        "",
        "-",
        "/",
        "1/",
        "/2",
        "1.5",
        "1e3",
        "0x2p+0",
        "0x1p1048577",
        "0x1p+1048577",
        "1/-2",
        "--1",
        "\u{2212}1",
        "1 /2",
        "0x",
        "NaN",
    ] {
        let message = parse_exact(text).unwrap_err().to_string();
        assert!(message.contains("expected"), "{message}");
    }
    assert_eq!(parse_exact("-0x3p-4").unwrap(), BigRational::new((-3).into(), 16.into()));
    // Above 4,000 digits a dyadic is written in hexadecimal, another fraction is not.
    let long = BigRational::new(BigInt::one(), BigInt::one() << 20_000);
    assert_eq!(format_exact(&long), "0x1p-20000");
    assert_eq!(parse_exact("0x1p-20000").unwrap(), long);
    let third = &long / BigInt::from(3);
    assert!(format_exact(&third).starts_with("1/"));
    assert_eq!(parse_exact(&format_exact(&third)).unwrap(), third);
    assert!(parse_exact(&"9".repeat(1 << 19)).is_err());
    let digits = "7".repeat(100_000);
    assert_eq!(
        parse_exact(&digits).unwrap().to_integer() * 9,
        (num_traits::pow(BigInt::from(10), 100_000) - 1) * 7
    );
}

// --- packed ---------------------------------------------------------------------------------

/// Polynomials with coefficients of several words, shared factors and odd denominators.
fn long_coefficients() -> impl Strategy<Value = (usize, Polynomial<BigRational>)> {
    let odd = prop_oneof![4 => Just(1_u32), 1 => Just(3), 1 => Just(45)];
    let coefficient = (any::<i64>(), 0_u32..200, 0_u32..130, odd).prop_map(|(p, up, down, odd)| {
        let denominator = BigInt::from(odd) << down;
        BigRational::new(BigInt::from(p >> (p & 63)) << (up / 2), denominator)
    });
    (1_usize..5).prop_flat_map(move |n| {
        let row = proptest::collection::vec(prop_oneof![3 => Just(0_u32), 2 => 0..4_u32], n);
        let term = (row, coefficient.clone());
        proptest::collection::vec(term, 0..12)
            .prop_map(move |terms| (n, Polynomial::from_terms(n, terms).unwrap()))
    })
}

/// The same polynomial with more places, longer numerators and a larger denominator than it needs.
fn roomy(p: &Polynomial<BigRational>, odd: u32, twos: u64) -> Packed {
    let n = p.variables();
    let lean = Packed::from_polynomial(p).unwrap();
    let common = lean.denominator() * odd;
    let zeros = common.trailing_zeros().unwrap();
    let degree = p.degree().unwrap_or(0) + 1;
    let numerator = |c: &BigRational| (c.numer() * (&common / c.denom())) << twos;
    let longest = p.coefficients().iter().map(|c| numerator(c).bits()).max().unwrap_or(0);
    let words = (longest / 64 + 2) as usize;
    let count = usize::try_from(monomial_count(n, degree)).unwrap();
    let mut numerators = vec![0; count * words];
    for (exponents, c) in p.terms() {
        let start = usize::try_from(graded_rank(exponents)).unwrap() * words;
        let value = numerator(c);
        let negative = Coefficient::is_negative(&value);
        numerators[start..start + words].fill(if negative { u64::MAX } else { 0 });
        let bytes = value.to_signed_bytes_le();
        for (k, word) in numerators[start..start + words].iter_mut().enumerate() {
            let mut bits = [if negative { 255 } else { 0 }; 8];
            for (bit, byte) in bits.iter_mut().zip(bytes.iter().skip(8 * k)) {
                *bit = *byte;
            }
            *word = u64::from_le_bytes(bits);
        }
    }
    let odd = (common >> zeros).magnitude().clone();
    let used = (0..n as u32).collect();
    Packed::new(n, used, degree, words, numerators, (odd, zeros + twos)).unwrap()
}

proptest! {
    #[test]
    fn packed_is_the_same_polynomial(
        (n, p) in long_coefficients(), odd in prop_oneof![Just(1_u32), Just(21)], twos in 0_u64..70,
        order in any::<u64>(), point in proptest::collection::vec((-9_i64..9, 1_i64..7), 5),
        floats in proptest::collection::vec(-4.0_f64..4.0, 45),
    ) {
        let lean = Packed::from_polynomial(&p).unwrap();
        let roomy = roomy(&p, odd, twos);
        prop_assert_eq!(&lean, &roomy);
        let point: Vec<_> =
            point[..n].iter().map(|(p, q)| BigRational::new((*p).into(), (*q).into())).collect();
        let halves: Vec<_> = point.iter().map(|x| BigRational::new(x.numer().clone(), 8.into())).collect();
        let points = Array2::from_shape_fn((9, n), |(row, i)| floats[row * 5 + i]);
        for packed in [&lean, &roomy] {
            prop_assert_eq!(packed, &p);
            prop_assert_eq!(packed.to_polynomial(), p.clone());
            prop_assert_eq!((packed.variables(), packed.len(), packed.degree()), (n, p.len(), p.degree()));
            prop_assert_eq!(packed.is_zero(), p.is_zero());
            let terms: Vec<_> = p.terms().map(|(e, c)| (e.to_vec(), c.clone())).collect();
            prop_assert_eq!(packed.terms().collect::<Vec<_>>(), terms);
            for exponents in monomials(n, 5) {
                prop_assert_eq!(packed.coefficient(&exponents), p.coefficient(&exponents).cloned());
            }
            prop_assert_eq!(packed.coefficient(&vec![1; n + 1]), None);
            let unit = BigRational::new(1.into(), packed.denominator());
            prop_assert_eq!(packed.to_numerators().to_rational().scale(&unit), p.clone());

            for point in [&point, &halves] {
                prop_assert_eq!(packed.evaluate(point).unwrap(), p.evaluate(point).unwrap());
            }
            let (values, bounds) = packed.evaluate_batch(points.view()).unwrap();
            for (row, (value, bound)) in points.rows().into_iter().zip(values.iter().zip(&bounds)) {
                let at: Vec<_> = row.iter().map(|x| rational_from_f64(*x).unwrap()).collect();
                let error = (rational_from_f64(*value).unwrap() - p.evaluate(&at).unwrap()).abs();
                prop_assert!(error <= rational_from_f64(*bound).unwrap());
            }
            let (rounded, underflowed) = packed.to_f64().unwrap();
            prop_assert_eq!(&rounded, &p.to_f64().unwrap());
            prop_assert_eq!(underflowed, p.len() - rounded.len());

            let mut columns: Vec<usize> = (0..n).collect();
            columns.rotate_left(order as usize % n);
            columns.swap(0, (order >> 32) as usize % n);
            let moved = |e: &[u32]| columns.iter().map(|&i| e[i]).collect::<Vec<_>>();
            let moved = p.terms().map(|(e, c)| (moved(e), c.clone()));
            prop_assert_eq!(&packed.permuted(&columns).unwrap(), &Polynomial::from_terms(n, moved).unwrap());
        }
        // A change of any one term shows.
        for (t, (exponents, _)) in p.terms().enumerate() {
            let change = Polynomial::from_terms(n, [(exponents, BigRational::from_integer(1.into()))]).unwrap();
            let other = &p + &change;
            prop_assert!(lean != other && roomy != other && lean != Packed::from_polynomial(&other).unwrap());
            if t > 3 {
                break;
            }
        }
    }
}

#[test]
fn packed_parts_that_do_not_fit_are_refused() {
    let one = || (BigUint::from(1_u32), 0);
    assert!(Packed::new(2, vec![0, 1], 1, 1, vec![1, 2, 3], one()).is_ok());
    assert!(Packed::new(2, vec![0, 1], 1, 1, vec![1, 2], one()).is_err());
    assert!(Packed::new(2, vec![0, 1], 1, 0, vec![], one()).is_err());
    assert!(Packed::new(2, vec![1, 0], 1, 1, vec![1, 2, 3], one()).is_err());
    assert!(Packed::new(2, vec![0, 2], 1, 1, vec![1, 2, 3], one()).is_err());
    assert!(Packed::new(2, vec![0, 1], 1, 1, vec![1, 2, 3], (BigUint::from(6_u32), 0)).is_err());
    let far = Polynomial::from_terms(3, [([1_000_000, 7, 7], parse_exact("1").unwrap())]).unwrap();
    assert!(Packed::from_polynomial(&far).is_err());
    let p = Packed::new(2, vec![0, 1], 1, 1, vec![1, 2, 3], one()).unwrap();
    assert!(p.permuted(&[0, 0]).is_err() && p.permuted(&[0]).is_err());
    assert!(p.evaluate(&[]).is_err());
    assert!(p.evaluate_batch(Array2::zeros((1, 3)).view()).is_err());
    assert!(p.evaluate_batch(Array2::from_elem((1, 2), f64::NAN).view()).is_err());
    // No variable at all.
    let constant = Packed::new(0, vec![], 4, 2, vec![u64::MAX, u64::MAX], one()).unwrap();
    assert_eq!(constant.to_polynomial().to_string(), "-1");
    assert_eq!(constant.evaluate(&[]).unwrap(), parse_exact("-1").unwrap());
    // Beyond f64.
    let huge = Packed::new(1, vec![0], 1, 17, [vec![0; 33], vec![1]].concat(), one()).unwrap();
    assert!(huge.to_f64().unwrap_err().to_string().contains("[1]"));
    assert!(huge.evaluate_batch(Array2::zeros((1, 1)).view()).is_err());
}
