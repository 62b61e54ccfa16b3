//! Layers on images, residuals, dropout and batch normalisation: what a file says, what the layers
//! compute, that gradients are right, and that what is trained from them is one polynomial.

use ndarray::{Array1, Array2};
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::expand::{Limits, expand, prove_equal};
use slnn::network::{
    Activation, Affine, Basis, Channels, Conv, Group, Head, Input, Layer, Mixed, Network, Part,
    Pool, PoolKind, Slaf, Window,
};
use slnn::numeric::rational::rational_from_f64;
use slnn::table::Table;
use slnn::train::{
    BasisKind, Checkpoint, Control, HiddenActivation, LayerSpec, Loss, Objective, Optimiser,
    Options, Precision, Quiet, Routine, auto, resume, train, train_ensemble,
};

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn numbers(rng: &mut ChaCha8Rng, shape: (usize, usize)) -> Array2<f64> {
    Array2::from_shape_fn(shape, |_| uniform(rng))
}

fn bias(rng: &mut ChaCha8Rng, n: usize) -> Array1<f64> {
    Array1::from_shape_fn(n, |_| uniform(rng))
}

fn slaf(rng: &mut ChaCha8Rng, channels: usize, degree: usize) -> Slaf {
    let normalised = rng.next_u64().is_multiple_of(2);
    let basis = match normalised {
        true => Basis::NormalisedMonomial {
            mean: numbers(rng, (channels, degree)).into(),
            scale: numbers(rng, (channels, degree)).into(),
        },
        false => Basis::Monomial,
    };
    let rows = if normalised || rng.next_u64().is_multiple_of(2) { channels } else { 1 };
    Slaf::new(basis, numbers(rng, (rows, degree + 1))).unwrap()
}

/// What image layers a random network has: a convolution with padding and stride, SLAFs on channels,
/// a residual, pooling, and an affine layer behind.
#[derive(Clone, Debug)]
struct Shape {
    input: [usize; 3],
    size: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    channels: usize,
    pool: [usize; 2],
    max: bool,
    relu: bool,
    degree: usize,
}

fn shapes(polynomial: bool) -> impl Strategy<Value = Shape> {
    (
        (2usize..5, 2usize..5, 1usize..3),
        (1usize..4, 1usize..4),
        (1usize..3, 1usize..3),
        (0usize..2, 0usize..2),
        1usize..3,
        (any::<bool>(), any::<bool>(), 1usize..3),
    )
        .prop_map(move |(input, size, stride, padding, channels, (max, relu, degree))| {
            let input = [input.0, input.1, input.2];
            let size = [size.0.min(input[0]), size.1.min(input[1])];
            let padding = [padding.0.min(size[0] - 1), padding.1.min(size[1] - 1)];
            let places =
                [0, 1].map(|a| (input[a] + 2 * padding[a] - size[a]) / [stride.0, stride.1][a] + 1);
            Shape {
                input,
                size,
                stride: [stride.0, stride.1],
                padding,
                channels,
                pool: places.map(|n| n.min(2)),
                max: max && !polynomial,
                relu: relu && !polynomial,
                degree,
            }
        })
}

fn network(shape: &Shape, seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rng = &mut rng;
    let window = Window::new(shape.input, shape.size, shape.stride, shape.padding).unwrap();
    let n = shape.channels;
    let conv = Conv::new(window, numbers(rng, (n, window.length())), bias(rng, n)).unwrap();
    let [height, width, _] = conv.output();
    let of_channels = match (shape.relu, n) {
        (true, 1) => Layer::Activation(Activation::Relu),
        (true, _) => Layer::Mixed(
            Mixed::new(vec![
                Group {
                    neurons: (1..n).collect(),
                    part: Part::Slaf(slaf(rng, n - 1, shape.degree)),
                },
                Group { neurons: vec![0], part: Part::Activation(Activation::Relu) },
            ])
            .unwrap(),
        ),
        (false, _) => Layer::Slaf(slaf(rng, n, shape.degree)),
    };
    let same = Window::new([height, width, n], [1, 1], [1, 1], [0, 0]).unwrap();
    let inside = vec![
        Layer::Conv(Conv::new(same, numbers(rng, (n, n)), bias(rng, n)).unwrap()),
        Layer::Channels(Channels::new(height * width, n, Layer::Slaf(slaf(rng, n, 1))).unwrap()),
    ];
    let pooled = Window::new([height, width, n], shape.pool, [1, 1], [0, 0]).unwrap();
    let pool = match shape.max {
        true => Pool::new(pooled, PoolKind::Max).unwrap(),
        false => Pool::average(pooled).unwrap(),
    };
    let after: usize = pool.output().iter().product();
    let layers = vec![
        Layer::Conv(conv),
        Layer::Channels(Channels::new(height * width, n, of_channels).unwrap()),
        Layer::Residual(inside),
        Layer::Pool(pool),
        Layer::Flatten(pool.output()),
        Layer::Affine(Affine::new(numbers(rng, (2, after)), bias(rng, 2)).unwrap()),
    ];
    let inputs: usize = shape.input.iter().product();
    let inputs = (0..inputs).map(|i| Input::named(format!("p{i}"))).collect();
    Network::new(inputs, vec!["a".into(), "b".into()], layers, Head::Identity).unwrap()
}

/// The layers by their definitions, number by number.
fn naive(layers: &[Layer], x: Vec<BigRational>) -> Vec<BigRational> {
    let exact = |x: f64| rational_from_f64(x).unwrap();
    let mut values = x;
    for layer in layers {
        let at = |shape: [usize; 3], y: usize, x: usize, c: usize| {
            values[(y * shape[1] + x) * shape[2] + c].clone()
        };
        values = match layer {
            Layer::Conv(conv) => {
                let window = conv.window();
                let (input, size, output) = (window.input(), window.size(), conv.output());
                let (weight, bias) = (conv.weight().to_f64(), conv.bias().to_f64());
                let mut out = Vec::new();
                for oy in 0..output[0] {
                    for ox in 0..output[1] {
                        for o in 0..output[2] {
                            let mut sum = exact(bias[o]);
                            for ky in 0..size[0] {
                                for kx in 0..size[1] {
                                    for c in 0..input[2] {
                                        let y = oy * window.stride()[0] + ky;
                                        let x = ox * window.stride()[1] + kx;
                                        let [py, px] = window.padding();
                                        let inside = (py..py + input[0]).contains(&y)
                                            && (px..px + input[1]).contains(&x);
                                        if inside {
                                            let k = (ky * size[1] + kx) * input[2] + c;
                                            sum += exact(weight[(o, k)])
                                                * at(input, y - py, x - px, c);
                                        }
                                    }
                                }
                            }
                            out.push(sum);
                        }
                    }
                }
                out
            }
            Layer::Pool(pool) => {
                let (window, output) = (pool.window(), pool.output());
                let mut out = Vec::new();
                for oy in 0..output[0] {
                    for ox in 0..output[1] {
                        for c in 0..output[2] {
                            let own = (0..window.size()[0])
                                .flat_map(|y| (0..window.size()[1]).map(move |x| (y, x)));
                            let own = own.map(|(y, x)| {
                                let (y, x) =
                                    (oy * window.stride()[0] + y, ox * window.stride()[1] + x);
                                at(window.input(), y, x, c)
                            });
                            out.push(match pool.kind() {
                                PoolKind::Max => own.max().unwrap(),
                                PoolKind::Average(scale) => own.sum::<BigRational>() * exact(scale),
                            });
                        }
                    }
                }
                out
            }
            Layer::Channels(channels) => values
                .chunks(channels.channels())
                .flat_map(|chunk| naive(&[channels.layer().clone()], chunk.to_vec()))
                .collect(),
            Layer::Residual(inside) => {
                let branch = naive(inside, values.clone());
                values.iter().zip(branch).map(|(x, y)| x + y).collect()
            }
            Layer::Flatten(_) => values.clone(),
            Layer::Activation(function) => {
                values.iter().map(|z| function.exact(z).unwrap()).collect()
            }
            Layer::Slaf(slaf) => {
                let own = slaf.fold(values.len());
                values.iter().zip(own).map(|(z, p)| p.evaluate(z)).collect()
            }
            Layer::Mixed(mixed) => {
                let mut out = values.clone();
                for group in mixed.groups() {
                    for (place, &i) in group.neurons.iter().enumerate() {
                        out[i] = match &group.part {
                            Part::Activation(f) => f.exact(&values[i]).unwrap(),
                            Part::Slaf(s) => {
                                s.fold(group.neurons.len())[place].evaluate(&values[i])
                            }
                        };
                    }
                }
                out
            }
            Layer::Affine(affine) => {
                let (weight, bias) = (affine.weight().to_f64(), affine.bias().to_f64());
                (0..weight.nrows())
                    .map(|i| {
                        let row = weight.row(i);
                        let terms = row.iter().zip(&values).map(|(w, x)| exact(*w) * x);
                        terms.sum::<BigRational>() + exact(bias[i])
                    })
                    .collect()
            }
        };
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn layers_on_images_compute_what_their_definitions_say(
        shape in shapes(false), seed in any::<u64>(),
    ) {
        let network = network(&shape, seed);
        let read = Network::from_json(&network.to_json())?;
        prop_assert_eq!(&read, &network);
        prop_assert_eq!(
            network.polynomial_layers(),
            if shape.relu { 1 } else if shape.max { 3 } else { 6 }
        );
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        let rows = numbers(&mut rng, (3, network.inputs().len()));
        let float = network.forward(rows.view())?;
        for (row, float) in rows.rows().into_iter().zip(float.rows()) {
            let x: Vec<BigRational> = row.iter().map(|x| rational_from_f64(*x).unwrap()).collect();
            let expected = naive(network.layers(), x.clone());
            prop_assert_eq!(&network.forward_exact(&x)?, &expected);
            let bounds = network.forward_enclosure(&x, &BigRational::new(1.into(), (1u64 << 40).into()))?;
            for ((exact, float), bound) in expected.iter().zip(float).zip(bounds) {
                prop_assert!(bound.contains(exact));
                // Numbers below 1 in all, some hundred of them: the sums stay far below 1e4.
                let error = (rational_from_f64(*float).unwrap() - exact).abs();
                prop_assert!(error.to_f64().unwrap() < 1e-10);
            }
        }
    }

    #[test]
    fn polynomial_networks_on_images_expand_to_equal_polynomials(
        shape in shapes(true), seed in any::<u64>(),
    ) {
        let mut shape = shape;
        // Few enough variables for a proof by lattice points.
        shape.input = [2, 2, 1];
        shape.size = shape.size.map(|n| n.min(2));
        shape.padding = [shape.padding[0].min(shape.size[0] - 1), shape.padding[1].min(shape.size[1] - 1)];
        shape.pool = [1, 1];
        let network = network(&shape, seed);
        let expansion = expand(&network, &Limits::default())?;
        prop_assert_eq!(prove_equal(&network, &expansion)?.degree as usize, shape.degree);
    }
}

#[test]
fn what_layers_on_images_refuse() {
    let read = |layer: &str| {
        let text = format!(
            "{{\"format\": \"slnn.network\", \"version\": 1, \"inputs\": [{{\"name\": \"a\"}}, {{\"name\": \"b\"}}], \
             \"outputs\": [\"y\", \"z\"], \"layers\": [{layer}], \"head\": \"identity\"}}"
        );
        Network::from_json(&text).map(|_| ()).map_err(|e| e.to_string())
    };
    let shared = "\"input\": [1, 2, 1], \"size\": [1, 1], \"stride\": [1, 1]";
    let conv =
        |rest: &str| format!("{{\"kind\": \"conv\", {shared}, \"padding\": [0, 0], {rest}}}");
    assert_eq!(read(&conv("\"weight\": [[2]], \"bias\": [1]")), Ok(()));
    assert_eq!(read(&format!("{{\"kind\": \"average_pool\", {shared}, \"scale\": 1}}")), Ok(()));
    assert_eq!(read(&format!("{{\"kind\": \"max_pool\", {shared}}}")), Ok(()));
    assert_eq!(read("{\"kind\": \"flatten\", \"shape\": [2, 1, 1]}"), Ok(()));
    let activation = "{\"kind\": \"activation\", \"function\": \"relu\"}";
    let residual = |layer: &str| format!("{{\"kind\": \"residual\", \"layers\": [{layer}]}}");
    assert_eq!(read(&residual(activation)), Ok(()));
    let mut deep = activation.to_owned();
    (0..16).for_each(|_| deep = residual(&deep));
    assert_eq!(read(&deep), Ok(()));
    for (layer, part) in [
        (conv("\"weight\": [[2, 1]], \"bias\": [1]"), "one for each number under the window"),
        (conv("\"weight\": [[2]], \"bias\": [1, 2]"), "bias"),
        (conv("\"weight\": [[2], [3]], \"bias\": [1, 2]"), "outputs"),
        (conv("\"weight\": [[2]], \"bias\": [1], \"dilation\": 2"), "dilation"),
        (
            conv("\"weight\": [[2]], \"bias\": [1]").replace("[1, 2, 1]", "[2, 2, 1]"),
            "width before",
        ),
        (
            conv("\"weight\": [[2]], \"bias\": [1]")
                .replace("\"size\": [1, 1]", "\"size\": [1, 3]"),
            "size",
        ),
        (
            conv("\"weight\": [[2]], \"bias\": [1]")
                .replace("\"stride\": [1, 1]", "\"stride\": [0, 1]"),
            "stride",
        ),
        (
            conv("\"weight\": [[2]], \"bias\": [1]")
                .replace("\"padding\": [0, 0]", "\"padding\": [1, 0]"),
            "padding",
        ),
        (
            conv("\"weight\": [[2]], \"bias\": [1]")
                .replace("[1, 2, 1]", "[4000000000, 4000000000, 4000000000]"),
            "2^28",
        ),
        (format!("{{\"kind\": \"average_pool\", {shared}}}"), "scale"),
        ("{\"kind\": \"flatten\", \"shape\": [2, 2, 1]}".into(), "width before"),
        (residual("{\"kind\": \"affine\", \"weight\": [[1, 2]], \"bias\": [0]}"), "added"),
        (residual(&deep), "16 others"),
        (
            format!(
                "{{\"kind\": \"channels\", \"positions\": 3, \"channels\": 1, \"layer\": {activation}}}"
            ),
            "width before",
        ),
        (
            format!(
                "{{\"kind\": \"channels\", \"positions\": 0, \"channels\": 1, \"layer\": {activation}}}"
            ),
            "channels",
        ),
        (
            format!(
                "{{\"kind\": \"channels\", \"positions\": 1, \"channels\": 2, \"layer\": {}}}",
                residual(activation)
            ),
            "residual",
        ),
    ] {
        let found = read(&layer).unwrap_err();
        assert!(found.contains(part), "{layer}: {found}");
    }
}

/// Images of 3 x 3 pixels and targets that are no affine function of them.
fn images(rows: usize, outputs: usize, seed: u64) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = numbers(&mut rng, (rows, 9));
    let t = Array2::from_shape_fn((rows, outputs), |(r, o)| {
        x[(r, 4)] * x[(r, o)] + 0.5 * x[(r, 8)] + 0.1 * uniform(&mut rng)
    });
    let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect();
    Table::new(x, t, names("x", 9), names("y", outputs), "images").unwrap()
}

fn options(layers: &str) -> Options {
    Options {
        layers: Some(LayerSpec::parse_all(layers).unwrap()),
        image: Some([3, 3, 1]),
        epochs: 20,
        ..Options::default()
    }
}

#[test]
fn a_model_with_normalisation_residuals_and_average_pooling_is_one_polynomial() {
    let layers = "conv2x2x2:valid,batchnorm,slaf2,residual(conv1x1x2,batchnorm,slaf1,conv1x1x2),\
                  avgpool2,batchnorm,dense3,batchnorm,slaf1,dropout0.2";
    for (precision, standardise) in [(Precision::F64, true), (Precision::F32, false)] {
        let options = Options { precision, standardise, batch: Some(16), ..options(layers) };
        let table = images(60, 2, 1);
        let rows: Vec<usize> = (0..60).collect();
        let trained = train(&table, &rows, &options, &mut Quiet).unwrap();
        let network = Network::from_json(&trained.network.to_json()).unwrap();
        let kinds: Vec<&str> = network.layers().iter().map(Layer::kind).collect();
        // Normalisation is in the maps before it; behind the pool it is a line on each channel.
        let expected = [
            "conv",
            "channels",
            "residual",
            "average_pool",
            "slaf",
            "flatten",
            "affine",
            "slaf",
            "affine",
        ];
        let own = if standardise { &kinds[1..] } else { &kinds[..] };
        assert_eq!(own, expected);
        let expansion = expand(&network, &Limits::default()).unwrap();
        let proof = prove_equal(&network, &expansion).unwrap();
        assert_eq!((proof.degree, expansion.variables().len()), (2, 9));
    }
}

#[test]
fn the_saved_network_is_the_trained_one() {
    // What training computes with frozen moments and what the network computes from the table.
    let chain = "conv3x3x3,batchnorm,slaf3,maxpool2/1,residual(batchnorm,conv1x1x3,relu),flatten,dense4,tanh";
    let table = images(50, 2, 3);
    let rows: Vec<usize> = (0..50).collect();
    let first =
        ["residual(dense9,slaf2)", "residual(residual(dense9),slaf2),dense2", "dense3,slaf2"];
    let all = std::iter::once(chain).chain(first);
    for (layers, standardise) in all.flat_map(|layers| [(layers, true), (layers, false)]) {
        let image = if layers == chain { Some([3, 3, 1]) } else { None };
        let options = Options { standardise, l2: 0.0, image, ..options(layers) };
        let mut objective = Objective::new(&table, &rows, &options).unwrap();
        let parameters = objective.start(0);
        let loss = objective.value(&parameters, None);
        let network = objective.network(&parameters).unwrap();
        let answers = network.forward(table.inputs().view()).unwrap();
        let mut mean = 0.0;
        for (column, targets) in answers.columns().into_iter().zip(table.targets().columns()) {
            let count = targets.len() as f64;
            let centre = targets.sum() / count;
            let variance = targets.iter().map(|t| (t - centre).powi(2)).sum::<f64>() / count;
            let squares = column.iter().zip(targets).map(|(y, t)| (y - t).powi(2)).sum::<f64>();
            mean += squares / count / if standardise { variance } else { 1.0 } / 2.0;
        }
        assert!((mean - loss).abs() < 1e-9 * loss, "{layers}: {mean} {loss}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// As in tests/gradients.rs, by the fourth-order central difference.
    #[test]
    fn gradients_of_layers_on_images_agree_with_finite_differences(
        layers in prop::sample::select(vec![
            "conv3x3x2,slaf2,avgpool2,dense3,slaf2",
            "conv2x2x3:valid,batchnorm,slaf3,maxpool2",
            "residual(conv3x3x1,tanh,residual(slaf2)),conv3x3x2/2,relu",
            "batchnorm,conv1x2x2:valid,residual(batchnorm,slaf2,conv1x1x2),residual(conv3x3x2),dense3,tanh",
            "avgpool2x1/1,residual(slaf2,batchnorm),flatten,residual(dense6,tanh),dropout0.5",
            "maxpool2/1,residual(dense4,slaf2,dense4)",
        ]),
        basis in prop::sample::select(vec![BasisKind::Monomial, BasisKind::NormalisedMonomial, BasisKind::Chebyshev]),
        (shared, hybrid, attention, standardise, frozen) in any::<(bool, bool, bool, bool, bool)>(),
        rows in prop_oneof![8usize..12, 120usize..140],
        seed in any::<u64>(),
    ) {
        let layers = layers.replace("residual(dense4,slaf2,dense4)", "flatten,residual(dense4,slaf2,dense4)");
        let activation = match hybrid {
            true => HiddenActivation::Hybrid {
                function: Activation::Tanh, fraction: 0.5, basis, shared, attention,
            },
            false => HiddenActivation::Slaf { basis, shared, attention },
        };
        let raw = basis == BasisKind::Monomial;
        let options = Options {
            activation, standardise, seed, l2: 0.01,
            routine: if raw { Routine::Clipped } else { Routine::Normalised },
            ..options(&layers)
        };
        let table = images(rows, 2, seed);
        let all: Vec<usize> = (0..rows).collect();
        let mut objective = Objective::new(&table, &all, &options)?;
        let mut parameters = objective.start(0);
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        parameters.iter_mut().for_each(|p| *p += 0.2 * uniform(&mut rng));
        crate::gradients::agrees_with_differences(&mut objective, &parameters, frozen)?;
    }
}

/// Stops after so many batches and keeps the checkpoint.
struct Stop {
    batches: std::cell::Cell<usize>,
    kept: Option<Checkpoint>,
}

impl Control for Stop {
    fn stop_requested(&self) -> bool {
        let left = self.batches.get();
        self.batches.set(left.saturating_sub(1));
        left == 0
    }
    fn checkpoint_every(&self) -> Option<usize> {
        Some(usize::MAX)
    }
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> slnn::Result<()> {
        self.kept = Some(checkpoint.clone());
        Ok(())
    }
}

#[test]
fn training_with_dropout_in_either_float_depends_on_the_seed_alone() {
    let layers = "conv3x3x4,batchnorm,slaf3,dropout0.3,avgpool3/1,dense8,slaf2,dropout0.5";
    let table = images(150, 2, 5);
    let rows: Vec<usize> = (0..150).collect();
    for precision in [Precision::F32, Precision::F64] {
        for batch in [None, Some(70)] {
            let options = Options {
                precision,
                batch,
                shift: Some(1),
                standardise: false,
                epochs: 7,
                ..options(layers)
            };
            let still = Options { shift: None, ..options.clone() };
            let still = train(&table, &rows, &still, &mut Quiet).unwrap().network;
            let whole = train(&table, &rows, &options, &mut Quiet).unwrap().network;
            assert_ne!(still, whole, "images were moved");
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let own = pool.install(|| train(&table, &rows, &options, &mut Quiet)).unwrap();
                assert_eq!(own.network.to_json(), whole.to_json(), "{threads} threads");
            }
            let mut stop = Stop { batches: 5.into(), kept: None };
            assert!(train(&table, &rows, &options, &mut stop).unwrap().stopped);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c.checkpoint");
            stop.kept.unwrap().write(&path).unwrap();
            let checkpoint = Checkpoint::read(&path).unwrap().unwrap();
            let resumed = resume(&table, &rows, &options, checkpoint.clone(), &mut Quiet).unwrap();
            assert_eq!(resumed.network.to_json(), whole.to_json());
            let other = Options { seed: 1, ..options.clone() };
            assert_ne!(train(&table, &rows, &other, &mut Quiet).unwrap().network, whole);
            let other = match precision {
                Precision::F32 => Precision::F64,
                Precision::F64 => Precision::F32,
            };
            let other = Options { precision: other, ..options.clone() };
            let error = resume(&table, &rows, &other, checkpoint, &mut Quiet).unwrap_err();
            assert!(error.to_string().contains("options.precision"), "{error}");
        }
    }
}

#[test]
fn weights_trained_in_f32_are_saved_as_they_are() {
    let table = images(40, 1, 7);
    let rows: Vec<usize> = (0..40).collect();
    let options = Options {
        hidden: vec![5],
        precision: Precision::F32,
        standardise: false,
        epochs: 30,
        ..Options::default()
    };
    let single = train(&table, &rows, &options, &mut Quiet).unwrap();
    for layer in single.network.layers() {
        let numbers = match layer {
            Layer::Affine(affine) => affine.weight().to_f64().into_owned(),
            Layer::Slaf(slaf) => slaf.coefficients().to_f64().into_owned(),
            _ => unreachable!(),
        };
        assert!(numbers.iter().all(|x| f64::from(*x as f32) == *x && !x.is_zero()));
    }
    // The same path, to the accuracy of f32.
    let double = Options { precision: Precision::F64, ..options };
    let double = train(&table, &rows, &double, &mut Quiet).unwrap();
    assert!((single.loss - double.loss).abs() < 1e-4 * double.loss);
    assert!(single.loss != double.loss);
}

#[test]
fn an_image_network_learns_what_it_is_shown() {
    let layers = "conv2x2x6:valid,slaf2,avgpool1,dense6";
    let table = images(200, 1, 9);
    let rows: Vec<usize> = (0..200).collect();
    let options = Options { epochs: 600, l2: 1e-5, ..options(layers) };
    let trained = train(&table, &rows, &options, &mut Quiet).unwrap();
    // The noise has a variance of 0.1^2 / 3, a thirtieth of the targets'.
    assert!(trained.loss < 0.06, "{}", trained.loss);
    let lbfgs = Options { optimiser: Optimiser::lbfgs(), epochs: 150, ..options };
    assert!(train(&table, &rows, &lbfgs, &mut Quiet).unwrap().loss < 0.06);
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let table = images(20, 1, 1);
    let rows: Vec<usize> = (0..20).collect();
    for (layers, part) in [
        ("conv4x3x2:valid", "conv4x3x2"),
        ("conv2x2x2", "even window"),
        ("dense4,conv1x1x2", "no image before it"),
        ("residual(conv3x3x2)", "3x3x2 behind it"),
        ("residual(dense8)", "8 behind it"),
        ("dropout1", "below 1"),
        ("slaf65", "1 to 64"),
        ("conv3x3x0", "1 to 2^20"),
        ("maxpool4", "maxpool4"),
        ("dense1048576,dense1048576", "at most 2^28"),
    ] {
        let options = options(layers);
        let error = train(&table, &rows, &options, &mut Quiet).unwrap_err().to_string();
        assert!(error.contains(part), "{layers}: {error}");
    }
    let wrong = Options { image: Some([3, 4, 1]), ..options("conv1x1x1") };
    let error = train(&table, &rows, &wrong, &mut Quiet).unwrap_err().to_string();
    assert!(error.contains("options.image"), "{error}");
    let network = options("conv3x3x1,relu");
    for (wrong, part) in [
        (Options { shift: Some(3), ..network.clone() }, "less than the sides"),
        (Options { shift: Some(1), layers: None, image: None, ..network.clone() }, "on an image"),
        (Options { shift: Some(1), optimiser: Optimiser::lbfgs(), ..network.clone() }, "L-BFGS"),
    ] {
        let error = train(&table, &rows, &wrong, &mut Quiet).unwrap_err().to_string();
        assert!(error.contains("options.shift") && error.contains(part), "{error}");
    }
    for error in [
        train_ensemble(&table, &rows, &network, 2, None, &mut Quiet).unwrap_err(),
        auto::choose(&table, &rows, &network, &auto::Search::new(9), None, &mut Quiet).unwrap_err(),
    ] {
        assert!(error.to_string().contains("options.layers"), "{error}");
    }
    let one = Options { batch: Some(1), ..options("conv3x3x1,batchnorm,relu") };
    assert!(train(&table, &rows, &one, &mut Quiet).is_err());
    let loss = Loss::MeanSquaredError;
    let fine = Options {
        batch: Some(1),
        loss,
        activation: HiddenActivation::Function(Activation::Relu),
        ..options("conv3x3x1,relu")
    };
    assert!(train(&table, &rows, &fine, &mut Quiet).is_ok());
}
