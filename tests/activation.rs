//! The activations: f64 values against proven enclosures, enclosures against independent digits.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use proptest::prelude::*;
use slnn::network::activation::Activation;
use slnn::numeric::elementary;
use slnn::numeric::interval::Enclosure;

fn exact(z: f64) -> BigRational {
    BigRational::from_float(z).unwrap()
}

fn power_of_two(exponent: i32) -> BigRational {
    let power = BigRational::from_integer(BigInt::one() << exponent.unsigned_abs());
    if exponent < 0 { power.recip() } else { power }
}

/// [value - slack, value + slack].
fn around(value: &BigRational, slack: &BigRational) -> Enclosure {
    Enclosure::new(value - slack, value + slack).unwrap()
}

fn is_within(inner: &Enclosure, outer: &Enclosure) -> bool {
    outer.contains(inner.lower()) && outer.contains(inner.upper())
}

/// The activations with their default parameters, and with unusual ones.
fn activations() -> Vec<Activation> {
    let mut all = Activation::ALL.to_vec();
    all.extend([
        Activation::LeakyRelu { slope: -0.3 },
        Activation::LeakyRelu { slope: 2.5 },
        Activation::Elu { alpha: 1.7 },
        Activation::Elu { alpha: -0.6 },
    ]);
    all
}

fn activation() -> impl Strategy<Value = Activation> {
    proptest::sample::select(activations())
}

/// Pre-activations of every size that matters, with the places where formulas change.
fn pre_activation() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -6.0..6.0,
        2 => -50.0..50.0,
        1 => -800.0..800.0,
        1 => (-1.0..1.0f64).prop_map(|z| z * 1e-8),
        1 => proptest::sample::select(EXTREMES.to_vec()),
    ]
}

const EXTREMES: [f64; 22] = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    2.2e-308,
    -2.2e-308,
    1e-300,
    1.0,
    -1.0,
    1.193_242_693_252_296,
    -1.193_242_693_252_296,
    1.767_766_952_966_369,
    -4.040_610_178_208_843,
    -37.5,
    -38.45,
    -708.5,
    -745.0,
    710.0,
    1e16,
    -1e16,
    1e308,
    -1e308,
];

/// Kinks, minima and maxima.
const TURNS: [f64; 6] =
    [0.0, 1.0, -1.0, -1.278_464_542_761_074, -0.751_791_524_693_564_5, std::f64::consts::FRAC_PI_2];

/// Decimal digits of the functions at numerator / denominator, from mpmath 1.3.0 with
/// mp.dps = 400, printed by nstr(f(mpf(numerator) / denominator), 60); sigmoid as
/// 1/(1+exp(-z)), softplus as log(1+exp(z)), gelu as z*erfc(-z/sqrt(2))/2, silu as
/// z/(1+exp(-z)), elu with alpha 1. The last digit is rounded.
#[rustfmt::skip]
const REFERENCES: &[(&str, i64, i64, &str)] = &[
    ("exp", 1, 2, "1.64872127070012814684865078781416357165377610071014801157508"),
    ("exp", -5, 4, "0.286504796860190100324885426647837602793150792328251047088382"),
    ("exp", 7, 1, "1096.63315842845859926372023828812143244221913483361314378274"),
    ("exp", -23, 8, "0.0564161395037773483062603888782131496016988253581192633255545"),
    ("exp", 1, 1024, "1.00097703949241653524284529261160650646585162918174419940186"),
    ("exp", -12, 1, "0.00000614421235332820975868230817880553231122398931488825297556851"),
    ("exp", 1, 3, "1.39561242508608952862812531960258683759790651519940698261752"),
    ("tanh", 1, 2, "0.462117157260009758502318483643672548730289280330113038552732"),
    ("tanh", -5, 4, "-0.848283639957512897613387646707504453738575920678431522327345"),
    ("tanh", 7, 1, "0.999998336943944671735716415950667112882056992092274710969240"),
    ("tanh", -23, 8, "-0.993654634315029620996073662826996542865637869302720081973992"),
    ("tanh", 1, 1024, "0.000976562189559260218584075270146771762847008858368259065160094"),
    ("tanh", -12, 1, "-0.999999999924497309117268373132474875538906145889744943324729"),
    ("tanh", 1, 3, "0.321512737531634344719406222425206466005292002502083511679805"),
    ("sigmoid", 1, 2, "0.622459331201854564638900565745508478753279365308910163059437"),
    ("sigmoid", -5, 4, "0.222700138825308853000480452338458201970950718452105234987843"),
    ("sigmoid", 7, 1, "0.999088948805599354642136676225305858675851939738681433575181"),
    ("sigmoid", -23, 8, "0.0534033297998242342537520062705531669806885630001919758377244"),
    ("sigmoid", 1, 1024, "0.500244140605597448212549060067117149178172980202044884424402"),
    ("sigmoid", -12, 1, "0.00000614417460221471782557382238396734264096767808357870677720045"),
    ("sigmoid", 1, 3, "0.582570206462314676866394613961229559052846510449260469473233"),
    ("softplus", 1, 2, "0.974076984180106680872997355081170749755596194667862841200815"),
    ("softplus", -5, 4, "0.251929081345372888953418726214182688012986186380331913682173"),
    ("softplus", 7, 1, "7.00091146645377424469170249380341466178778318429813765602060"),
    ("softplus", -23, 8, "0.0548821791580781487059195937491923571904304952100070492915460"),
    ("softplus", 1, 1024, "0.693635581019230123247211554705274687087153164065335446337207"),
    ("softplus", -12, 1, "0.00000614419347773280543457906620818670317125768900248947645601506"),
    ("softplus", 1, 3, "0.873638908022741787492761488248804001221261953138192883564508"),
    ("erf", 1, 2, "0.520499877813046537682746653891964528736451575757963700058806"),
    ("erf", -5, 4, "-0.922900128256458230136523481197281140423601438702228329793668"),
    ("erf", 7, 1, "0.999999999999999999999958161743922205856013859897761000677500"),
    ("erf", -23, 8, "-0.999952145160256226587002660303144432075046467778659640002730"),
    ("erf", 1, 1024, "0.00110193243007181470417125349611857369383654443045554975822688"),
    ("erf", -12, 1, "-1.00000000000000000000000000000000000000000000000000000000000"),
    ("erf", 1, 3, "0.362648111766062933408178640147865879692141590372537239240019"),
    ("gelu", 1, 2, "0.345731230637006551818852305304168869941801087777288968410388"),
    ("gelu", -5, 4, "-0.132062217083569072110965955032183193559512159815416464976909"),
    ("gelu", 7, 1, "6.99999999999104131219279915496931463416453416901377009092061"),
    ("gelu", -23, 8, "-0.00580789528359475483282081310609158486411403592233460296620892"),
    ("gelu", 1, 1024, "0.000488661710946074747076929447186982259983727735486308300504908"),
    ("gelu", -12, 1, "-0.0000000000000000000000000000000213177853449321479723540520221466851087119972101474382204639"),
    ("gelu", 1, 3, "0.210186219939412120575735905976808805557248543347483213535000"),
    ("silu", 1, 2, "0.311229665600927282319450282872754239376639682654455081529719"),
    ("silu", -5, 4, "-0.278375173531636066250600565423072752463688398065131543734804"),
    ("silu", 7, 1, "6.99362264163919548249495673357714101073096357817077003502627"),
    ("silu", -23, 8, "-0.153534573174494673479537018027840355069479618625551930533458"),
    ("silu", 1, 1024, "0.000488519668560153758020067441471794090994309550978559457445705"),
    ("silu", -12, 1, "-0.0000737300952265766139068858686076081116916121370029444813264054"),
    ("silu", 1, 3, "0.194190068820771558955464871320409853017615503483086823157744"),
    ("elu", 1, 2, "0.500000000000000000000000000000000000000000000000000000000000"),
    ("elu", -5, 4, "-0.713495203139809899675114573352162397206849207671748952911618"),
    ("elu", 7, 1, "7.00000000000000000000000000000000000000000000000000000000000"),
    ("elu", -23, 8, "-0.943583860496222651693739611121786850398301174641880736674446"),
    ("elu", 1, 1024, "0.000976562500000000000000000000000000000000000000000000000000000"),
    ("elu", -12, 1, "-0.999993855787646671790241317691821194467688776010685111747024"),
    ("elu", 1, 3, "0.333333333333333333333333333333333333333333333333333333333333"),
    ("sin", 1, 2, "0.479425538604203000273287935215571388081803367940600675188617"),
    ("sin", -5, 4, "-0.948984619355586214348490847036049250378016034523892220135557"),
    ("sin", 7, 1, "0.656986598718789090396999091593635177936870010497490074657854"),
    ("sin", -23, 8, "-0.263445993363420839533879410585719162307305150817742793873234"),
    ("sin", 1, 1024, "0.000976562344779578298906910168119786366802418046208258492718129"),
    ("sin", -12, 1, "0.536572918000434971665374228242401792315738528278040648398667"),
    ("sin", 1, 3, "0.327194696796152244173344085267620606064301406893759791590056"),
    ("cos", 1, 2, "0.877582561890372716116281582603829651991645197109744052997611"),
    ("cos", -5, 4, "0.315322362395268665447538552438038013727985707982756807514999"),
    ("cos", 7, 1, "0.753902254343304638141197521719182012218313391460126839543614"),
    ("cos", -23, 8, "-0.964674146321316327093153004645693690953666023925413788132521"),
    ("cos", 1, 1024, "0.999999523162879692486369202949889069215510235208243466564978"),
    ("cos", -12, 1, "0.843853958732492104653955293173621783168087152604565012588142"),
    ("cos", 1, 3, "0.944956946314737664388284007675880607845852699565140737677646"),
    ("ln", 1, 2, "-0.693147180559945309417232121458176568075500134360255254120680"),
    ("ln", 7, 1, "1.94591014905531330510535274344317972963708472958186118845939"),
    ("ln", 4, 3, "0.287682072451780927439219005993827431503509710897761056506666"),
    ("ln", 2, 3, "-0.405465108108164381978013115464349136571990423462494197614014"),
    ("ln", 1, 1024, "-6.93147180559945309417232121458176568075500134360255254120680"),
    ("ln", 1000000007, 1, "20.7232658439464111316619232064926106014932500923922705094667"),
];

/// The decimal number and one unit of its last digit.
fn decimal(text: &str) -> (BigRational, BigRational) {
    let places = text.split_once('.').unwrap().1.len();
    let digits: BigInt = text.replace('.', "").parse().unwrap();
    let unit = BigRational::new(BigInt::one(), BigInt::from(10).pow(places as u32));
    (BigRational::from_integer(digits) * &unit, unit)
}

fn function(name: &str, z: &BigRational, bits: u32) -> Enclosure {
    match name {
        "exp" => elementary::exp(z, bits).unwrap(),
        "ln" => elementary::ln(z, bits).unwrap(),
        "tanh" => elementary::tanh(z, bits),
        "sigmoid" => elementary::sigmoid(z, bits),
        "softplus" => elementary::softplus(z, bits),
        "erf" => elementary::erf(z, bits),
        "gelu" => elementary::gelu(z, bits),
        "silu" => elementary::silu(z, bits),
        "elu" => elementary::elu(z, &BigRational::one(), bits),
        "sin" => elementary::sin(z, bits),
        "cos" => elementary::cos(z, bits),
        other => panic!("no function {other}"),
    }
}

#[test]
fn enclosures_hold_independent_digits_and_have_the_width_asked_for() {
    for &(name, numerator, denominator, text) in REFERENCES {
        let z = BigRational::new(numerator.into(), denominator.into());
        let (digits, unit) = decimal(text);
        let digits = around(&digits, &unit);
        for bits in [0, 7, 53, 150, 190] {
            let enclosure = function(name, &z, bits);
            let place = format!("{name} at {z}, {bits} bits: {enclosure:?}");
            assert!(enclosure.intersection(&digits).is_some(), "{place}");
            assert!(enclosure.width() <= power_of_two(-(bits as i32)), "{place}");
        }
    }
}

#[test]
fn pi_and_a_huge_angle() {
    // mpmath: nstr(pi, 101); with mp.dps = 1000, nstr(sin(mpf(10)**300), 60) and the cosine.
    let (pi, unit) = decimal(
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803\
         4825342117068",
    );
    let enclosure = elementary::pi(330);
    assert!(enclosure.intersection(&around(&pi, &unit)).is_some());
    assert!(enclosure.width() <= power_of_two(-330));
    let z = BigRational::from_integer(BigInt::from(10).pow(300));
    for (value, text) in [
        (
            elementary::sin(&z, 190),
            "-0.985750425160376996609047531429895469077715312561026993159237",
        ),
        (
            elementary::cos(&-z, 190),
            "-0.16821444437424507285187566443555584453305088766805226227942",
        ),
    ] {
        let (digits, unit) = decimal(text);
        assert!(value.intersection(&around(&digits, &unit)).is_some());
        assert!(value.width() <= power_of_two(-190));
    }
}

#[test]
fn arguments_outside_a_domain_are_refused() {
    let limit = BigRational::from_integer(elementary::LARGEST_EXPONENT.into());
    assert!(elementary::exp(&(&limit + BigRational::one()), 10).is_err());
    let large = elementary::exp(&limit, 10).unwrap();
    assert!(large.width() <= power_of_two(-10));
    assert!(*large.lower() > power_of_two(5909) && *large.upper() < power_of_two(5910));
    assert!(elementary::ln(&BigRational::zero(), 10).is_err());
    assert!(elementary::ln(&-BigRational::one(), 10).is_err());
}

#[test]
fn no_argument_is_too_large() {
    let bits = 80;
    let (zero, one) = (BigRational::zero(), BigRational::one());
    let slack = power_of_two(-bits);
    for exponent in [1023, 5000, 200_000] {
        let z = power_of_two(exponent) + power_of_two(-1074);
        for (name, above, below) in [
            ("tanh", &one, &-&one),
            ("erf", &one, &-&one),
            ("sigmoid", &one, &zero),
            ("softplus", &z, &zero),
            ("gelu", &z, &zero),
            ("silu", &z, &zero),
            ("elu", &z, &-&one),
        ] {
            let enclosed = |z| function(name, z, bits as u32);
            assert!(is_within(&enclosed(&z), &around(above, &slack)), "{name}");
            assert!(is_within(&enclosed(&-&z), &around(below, &slack)), "{name}");
        }
        let sine = elementary::sin(&z, bits as u32);
        if exponent < 4096 {
            assert!(sine.width() <= slack);
        } else {
            assert_eq!(sine, Enclosure::new(-&one, one.clone()).unwrap());
        }
        assert!(is_within(&elementary::exp(&-&z, bits as u32).unwrap(), &around(&zero, &slack)));
        let ln = elementary::ln(&z, bits as u32).unwrap();
        let exponent = exact(f64::from(exponent));
        let (below, above) = (std::f64::consts::LN_2.next_down(), std::f64::consts::LN_2.next_up());
        assert!(*ln.lower() > exact(below) * &exponent);
        assert!(*ln.upper() < exact(above) * &exponent);
        assert!(ln.width() <= slack);
    }
}

#[test]
fn values_at_kinks_and_extremes() {
    for activation in activations() {
        let name = activation.name();
        for z in EXTREMES {
            let (value, derivative) = activation.value_and_derivative(z);
            // 2.5 1e308 is no f64.
            assert!(value.is_finite() || name == "leaky_relu", "{name} at {z}: {value}");
            assert!(derivative.is_finite(), "{name} at {z}: {derivative}");
            assert_eq!(activation.value(z), value, "{name} at {z}");
            assert_eq!(activation.derivative(z), derivative, "{name} at {z}");
        }
        assert!(activation.value(f64::NAN).is_nan(), "{name}");
        // The derivative at a kink is the one from the right.
        for kink in activation.kinks() {
            assert_eq!(activation.derivative(*kink), activation.derivative(kink + 1e-9), "{name}");
        }
    }
    assert_eq!(Activation::Gelu.value(1e308), 1e308);
    assert_eq!(Activation::Silu.value(-1e308), 0.0);
    assert_eq!(Activation::Softplus.value(0.0), std::f64::consts::LN_2);
    assert_eq!(Activation::HardTanh.derivative(1.0), 0.0);
    assert_eq!(Activation::Elu { alpha: 3.0 }.value(-1e308), -3.0);
}

#[test]
fn names_and_parameters() {
    for activation in Activation::ALL {
        let name = activation.name();
        assert_eq!(Activation::from_name(name, None).unwrap(), activation);
        match activation.parameter() {
            Some((key, value)) => {
                assert_eq!(Activation::from_name(name, Some(value)).unwrap(), activation);
                let other = Activation::from_name(name, Some(0.5)).unwrap();
                assert_eq!(other.parameter(), Some((key, 0.5)));
                for bad in [f64::NAN, f64::INFINITY] {
                    assert!(Activation::from_name(name, Some(bad)).is_err());
                }
            }
            None => assert!(Activation::from_name(name, Some(0.5)).is_err()),
        }
        assert_eq!(activation.is_polynomial(), name == "identity");
        assert_eq!(
            activation.is_piecewise_polynomial(),
            activation.exact(&BigRational::one()).is_some()
        );
    }
    let error = Activation::from_name("swish", None).unwrap_err().to_string();
    assert!(error.contains("swish") && error.contains("silu"), "{error}");
}

#[test]
fn lipschitz_constants_are_reached() {
    // The places where the derivative is largest, from the formulas in the documentation.
    for (activation, z) in [
        (Activation::Identity, 0.0),
        (Activation::Relu, 1.0),
        (Activation::LeakyRelu { slope: -3.0 }, -1.0),
        (Activation::Abs, 1.0),
        (Activation::HardTanh, 0.5),
        (Activation::Tanh, 0.0),
        (Activation::Sigmoid, 0.0),
        (Activation::Softplus, 100.0),
        (Activation::Elu { alpha: -2.0 }, -1e-300),
        (Activation::Silu, 2.399_357_280_515_467_7),
        (Activation::Gelu, std::f64::consts::SQRT_2),
        (Activation::Sin, 0.0),
    ] {
        let (largest, bound) = (activation.derivative(z).abs(), activation.lipschitz());
        let slack = 3.0 * f64::EPSILON * bound;
        assert!((largest - bound).abs() <= slack, "{}", activation.name());
    }
    // At or above the digits of mpmath, for the two that are no simple numbers.
    let bounds = |activation: Activation, text| exact(activation.lipschitz()) > decimal(text).0;
    assert!(bounds(Activation::Silu, "1.09983932012886691695818492432057097"));
    assert!(bounds(Activation::Gelu, "1.12890414518515478634074444226197331"));
}

/// The places and the values of the minima that enclosures over an interval rely on.
#[test]
fn enclosures_around_the_minimum_are_tight() {
    // mpmath: 1 + findroot(lambda z: 1 + z + exp(z), -1.278), and z ncdf(z) at
    // findroot(lambda z: ncdf(z) + z*npdf(z), -0.7517), the places being those roots.
    for (activation, place, least) in [
        (
            Activation::Silu,
            "-1.27846454276107379510935873902298",
            "-0.27846454276107379510935873902298",
        ),
        (
            Activation::Gelu,
            "-0.75179152469356445745790494677952",
            "-0.16997120747990366169386847098243",
        ),
    ] {
        let (place, least) = (decimal(place).0, around(&decimal(least).0, &decimal(least).1));
        for (wide, excess) in [(exact(40.0), -59), (exact(1e-3), -20), (power_of_two(-40), -80)] {
            // Not symmetric, so that the midpoint is not the minimum.
            let input = Enclosure::new(&place - &wide, &place + &wide + &wide).unwrap();
            let range = activation.enclose(&input, 120);
            assert!(range.lower() <= least.upper());
            assert!(least.lower() - range.lower() < power_of_two(excess));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn f64_values_are_within_a_few_units_of_the_enclosure(
        activation in activation(),
        z in pre_activation(),
    ) {
        let value = activation.value(z);
        prop_assume!(value.is_finite());
        // Four units in the last place, or of the subnormal numbers.
        let unit = power_of_two(-1074).max(exact(value.abs()) * power_of_two(-52));
        let slack = unit * exact(4.0);
        // An enclosure far narrower than a unit, so that both sides are put to the test.
        let magnitude = if value == 0.0 { -1074 } else { value.abs().log2().floor() as i32 };
        let bits = (80 - magnitude).clamp(80, 1100);
        let enclosure = activation.enclose(&Enclosure::point(exact(z)), bits as u32);
        prop_assert!(enclosure.width() <= power_of_two(-bits));
        prop_assert!(
            is_within(&enclosure, &around(&exact(value), &slack)),
            "{} at {z:e}: {value:e} and {:?}", activation.name(), enclosure.to_f64()
        );
    }

    #[test]
    fn derivatives_are_those_of_central_differences(
        activation in activation(),
        z in -30.0..30.0f64,
    ) {
        // The third derivatives are below 6, so the difference is wrong by less than h^2; and by
        // the rounding of the values over h.
        let h = 1e-5;
        prop_assume!(activation.kinks().iter().all(|kink| (z - kink).abs() > 2.0 * h));
        let difference = (activation.value(z + h) - activation.value(z - h)) / (2.0 * h);
        let scale = z.abs().max(1.0) * activation.lipschitz().max(1.0);
        let tolerance = h * h + 8.0 * f64::EPSILON * scale / h;
        let derivative = activation.derivative(z);
        prop_assert!(
            (difference - derivative).abs() <= tolerance,
            "{} at {z}: {derivative} and {difference}", activation.name()
        );
    }

    #[test]
    fn exact_values_agree_with_f64(activation in activation(), n in -2000i32..2000, e in 0i32..12) {
        let z = f64::from(n) * 2f64.powi(-e);
        if let Some(value) = activation.exact(&exact(z)) {
            let value = Enclosure::point(value);
            prop_assert_eq!(&activation.enclose(&Enclosure::point(exact(z)), 0), &value);
            // One rounding, in the product with the slope.
            let (below, above) = value.to_f64();
            prop_assert!([below, above].contains(&activation.value(z)));
        }
    }

    #[test]
    fn the_enclosure_of_an_interval_holds_its_interior_and_converges(
        activation in activation(),
        centre in prop_oneof![-8.0..8.0f64, proptest::sample::select(TURNS.to_vec())],
        shrink in 0i32..60,
        place in 0.0..=1.0f64,
        bits in 0u32..120,
    ) {
        let input = around(&exact(centre), &(exact(4.0) * power_of_two(-shrink)));
        let range = activation.enclose(&input, bits);
        let inner = input.lower() + input.width() * exact(place);
        let value = activation.enclose(&Enclosure::point(inner), bits + 40);
        // The exact value lies in both.
        prop_assert!(
            value.intersection(&range).is_some(),
            "{} on {input:?}: {range:?}, inside {value:?}", activation.name()
        );
        let limit = exact(activation.lipschitz()) * input.width() + power_of_two(-(bits as i32));
        prop_assert!(range.width() <= limit, "{} on {input:?}: {range:?}", activation.name());
    }

    #[test]
    fn more_bits_meet_fewer_and_are_narrower(
        activation in activation(),
        numerator in -20_000i64..20_000,
        denominator in 1i64..2_000,
        bits in 0u32..200,
    ) {
        let z = Enclosure::point(BigRational::new(numerator.into(), denominator.into()));
        let (coarse, fine) = (activation.enclose(&z, bits), activation.enclose(&z, bits + 97));
        prop_assert!(coarse.intersection(&fine).is_some());
        prop_assert!(coarse.width() <= power_of_two(-(bits as i32)));
        prop_assert!(fine.width() <= power_of_two(-(bits as i32) - 97));
    }

    /// Identities that no series was built on.
    #[test]
    fn functional_equations(n in -4000i64..4000, m in -4000i64..4000, d in 1i64..500) {
        let bits = 120;
        let (x, y) = (BigRational::new(n.into(), d.into()), BigRational::new(m.into(), d.into()));
        let meet = |a: Enclosure, b: Enclosure| a.intersection(&b).is_some();
        let (sin, cos) = (elementary::sin(&x, bits), elementary::cos(&x, bits));
        let (sin_y, cos_y) = (elementary::sin(&y, bits), elementary::cos(&y, bits));
        let total = elementary::sin(&(&x + &y), bits);
        prop_assert!(meet(total, sin.mul(&cos_y).add(&cos.mul(&sin_y))));
        let one = Enclosure::point(BigRational::one());
        prop_assert!(meet(sin.mul(&sin).add(&cos.mul(&cos)), one));
        let (x, y) = (-x.abs(), -y.abs());
        let exp = |z: &BigRational| elementary::exp(z, bits).unwrap();
        prop_assert!(meet(exp(&(&x + &y)), exp(&x).mul(&exp(&y))));
        if x > exact(-30.0) {
            // ln of the ends of e^x.
            let e = exp(&x);
            let low = elementary::ln(e.lower(), bits).unwrap();
            let high = elementary::ln(e.upper(), bits).unwrap();
            prop_assert!(*low.lower() <= x && x <= *high.upper());
            prop_assert!(high.upper() - low.lower() < power_of_two(-60));
        }
    }
}

proptest! {
    // Each case takes sixteen enclosures of 1,200 bits.
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Relative to their own size, where the derivatives are tiny.
    #[test]
    fn derivatives_keep_their_digits_in_the_tails(z in 8.0..700.0f64) {
        for (activation, z) in [
            (Activation::Tanh, 0.5 * z),
            (Activation::Tanh, -0.5 * z),
            (Activation::Sigmoid, z),
            (Activation::Sigmoid, -z),
            (Activation::Softplus, -z),
            (Activation::Silu, -z),
            (Activation::Elu { alpha: 1.0 }, -z),
            (Activation::Gelu, -z.sqrt()),
        ] {
            let h = exact(2f64.powi(-20));
            let at = |z: BigRational| activation.enclose(&Enclosure::point(z), 1200);
            let rise = at(exact(z) + &h).sub(&at(exact(z) - &h));
            let (rise, _) = rise.scale(&(exact(0.5) / h)).to_f64();
            let derivative = activation.derivative(z);
            // |s'''| < 1000 |s'| here, so the difference is wrong by h^2 1000 / 6 at most; GELU'
            // is the difference of terms at most 100 times larger.
            prop_assert!(
                (rise / derivative - 1.0).abs() < 2e-10,
                "{} at {z}: {derivative:e} and {rise:e}", activation.name()
            );
        }
    }
}
