//! The program keeps its promises: answers, exit codes, messages, files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// What one run of the program left behind.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    /// The single JSON object on standard output.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }

    fn keys(&self) -> Vec<String> {
        self.json().as_object().unwrap().keys().cloned().collect()
    }

    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }
}

fn slnn(directory: &Path, arguments: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_slnn"))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{arguments}: {err}");
    Run { code: output.status.code().unwrap(), out, err }
}

/// A folder with a table of numbers, one of classes, and what a short training makes of the first.
fn folder() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut numbers = String::from("a,b,y\n");
    let mut classes = String::from("a,b,kind\n");
    for i in 0..24 {
        let (a, b) = (f64::from(i % 5) - 2.0, f64::from(i % 7) / 4.0 - 1.0);
        numbers.push_str(&format!("{a},{b},{}\n", a * a - 2.0 * b + 0.5));
        classes.push_str(&format!("{a},{b},{}\n", if a > b { "warm" } else { "cold" }));
    }
    fs::write(directory.path().join("numbers.csv"), numbers).unwrap();
    fs::write(directory.path().join("classes.csv"), classes).unwrap();
    directory
}

const TRAIN: &str = "train numbers.csv --target y --hidden 2 --degree 2 --epochs 40";

fn trained() -> TempDir {
    let directory = folder();
    slnn(directory.path(), &format!("{TRAIN} -o net.json")).ends(0);
    directory
}

/// One input, one output, no hidden layer: `weight x + bias`.
fn affine(weight: &str, bias: &str) -> String {
    format!(
        r#"{{"format": "slnn.network", "version": 1, "inputs": [{{"name": "x"}}], "outputs": ["y"],
           "layers": [{{"kind": "affine", "weight": [[{weight}]], "bias": [{bias}]}}],
           "head": "identity"}}"#
    )
}

/// `relu(x1) + relu(x2)`, its two neurons in the given order.
fn relu(first: [u8; 2], second: [u8; 2]) -> String {
    format!(
        r#"{{"format": "slnn.network", "version": 1, "inputs": [{{"name": "x1"}}, {{"name": "x2"}}],
           "outputs": ["y"], "layers": [
           {{"kind": "affine", "weight": [{first:?}, {second:?}], "bias": [0, 0]}},
           {{"kind": "activation", "function": "relu"}},
           {{"kind": "affine", "weight": [[1, 1]], "bias": [0]}}], "head": "identity"}}"#
    )
}

#[test]
fn answers_carry_their_keys() {
    let directory = folder();
    let at = directory.path();
    let run = slnn(at, &format!("{TRAIN} --test-fraction 0.25 --json -o net.json")).ends(0);
    let answer = run.json();
    for key in ["parameters", "epochs", "seconds", "seconds_per_epoch", "degree", "monomials"] {
        assert!(answer[key].is_number(), "{key} in {}", run.out);
    }
    for part in ["train", "test"] {
        for key in ["rmse", "mae", "r2", "loss"] {
            assert!(answer[part][key].is_number(), "{part}.{key} in {}", run.out);
        }
    }
    assert_eq!(
        (&answer["parameters"], &answer["degree"], &answer["monomials"]),
        (&Value::from(2 * 3 + 2 * 3 + 3), &Value::from(2), &Value::from(6),)
    );
    assert_eq!((&answer["train"]["rows"], &answer["test"]["rows"]), (&18.into(), &6.into()));

    let run = slnn(at, "expand net.json --plan --json").ends(0);
    let plan = run.json();
    for key in ["terms", "primes", "bytes", "seconds"] {
        assert!(plan[key].is_number(), "{key} in {}", run.out);
    }
    assert_eq!(plan["feasible"], true);

    let run = slnn(at, "expand net.json -o poly.json --json").ends(0);
    let expansion = run.json();
    for key in ["variables", "outputs", "degree", "terms", "primes", "bound_bits"] {
        assert!(expansion[key].is_number(), "{key} in {}", run.out);
    }
    assert!(run.keys().contains(&"peak_bytes".to_owned()));
    for phase in ["plan", "expand", "evaluate", "prove", "write"] {
        assert!(expansion["seconds"][phase].is_number(), "{phase} in {}", run.out);
    }
    assert_eq!(expansion["method"], plan["method"]);
    assert_eq!(expansion["primes"], plan["primes"]);
    if cfg!(target_os = "linux") {
        assert!(expansion["peak_bytes"].as_f64().unwrap() > 1e5, "{}", run.out);
    }
    assert_eq!((&expansion["proved"], &expansion["points"]), (&true.into(), &6.into()));
    assert_eq!(expansion["terms"], plan["terms"]);

    let answer = slnn(at, "compare net.json poly.json --json").ends(0);
    let keys = [
        "equal",
        "method",
        "error_probability",
        "equal_after_rounding",
        "largest_difference",
        "at",
    ];
    for key in keys {
        assert!(answer.keys().contains(&key.to_owned()), "{key} in {}", answer.out);
    }
    assert_eq!(answer.json()["equal"], true);
}

#[test]
fn the_same_numbers_come_out_of_network_and_polynomial() {
    let directory = trained();
    let at = directory.path();
    slnn(at, "expand net.json -o poly.json").ends(0);
    let of_network = slnn(at, "evaluate net.json numbers.csv -o a.csv --json").ends(0).json();
    let of_polynomial =
        slnn(at, "evaluate poly.json numbers.csv --bounds -o b.csv --json").ends(0).json();
    assert_eq!((&of_network["rows"], &of_network["outside_box"]), (&24.into(), &0.into()));
    let rmse = |answer: &Value| answer["score"]["rmse"].as_f64().unwrap();
    assert!((rmse(&of_network) - rmse(&of_polynomial)).abs() < 1e-9);
    let a = fs::read_to_string(at.join("a.csv")).unwrap();
    let b = fs::read_to_string(at.join("b.csv")).unwrap();
    assert!(a.starts_with("y\n") && b.starts_with("y,y_bound\n"), "{a}{b}");
    assert_eq!((a.lines().count(), b.lines().count()), (25, 25));

    // A row far away is evaluated, and counted.
    fs::write(at.join("far.csv"), "a,b\n0,0\n50,0\n").unwrap();
    let far = slnn(at, "evaluate net.json far.csv -o far.out.csv --json").ends(0).json();
    assert_eq!((&far["outside_box"], &far["score"]), (&1.into(), &Value::Null));
}

#[test]
fn classes_keep_their_names() {
    let directory = folder();
    let at = directory.path();
    let train = "train classes.csv --target kind --hidden 2 --degree 2 --epochs 40 -o net.json";
    let answer = slnn(at, &format!("{train} --json")).ends(0).json();
    assert!(answer["train"]["accuracy"].is_number() && answer["train"]["rmse"].is_null());
    let answer = slnn(at, "evaluate net.json classes.csv -o out.csv --json").ends(0).json();
    assert!(answer["score"]["accuracy"].is_number(), "the column is remembered: {answer}");
    let text = fs::read_to_string(at.join("out.csv")).unwrap();
    assert!(text.starts_with("cold,warm,label\n"), "{text}");
    assert!(text.lines().skip(1).all(|l| l.ends_with(",cold") || l.ends_with(",warm")), "{text}");
    slnn(at, "expand net.json -o poly.json").ends(0);
    let answer = slnn(at, "compare net.json poly.json").ends(0);
    assert!(answer.out.contains("before the head (softmax)"), "{}", answer.out);
}

#[test]
fn comparison_tells_yes_from_no_and_from_not_decided() {
    let directory = trained();
    let at = directory.path();
    fs::write(at.join("one.json"), affine("1", "0")).unwrap();
    fs::write(at.join("two.json"), affine("1", "\"1/3\"")).unwrap();
    let different = slnn(at, "compare one.json two.json --json").ends(1).json();
    assert_eq!(different["equal"], false);
    assert_eq!(different["at"], serde_json::json!([0.0]));
    assert_eq!(slnn(at, "compare one.json one.json --json").ends(0).json()["equal"], true);

    slnn(at, "expand net.json --coefficients f64 -o rounded.json").ends(0);
    let rounded = slnn(at, "compare net.json rounded.json --json").json();
    assert_eq!(rounded["equal_after_rounding"], true);

    fs::write(at.join("ab.json"), relu([1, 0], [0, 1])).unwrap();
    fs::write(at.join("ba.json"), relu([0, 1], [1, 0])).unwrap();
    let open = slnn(at, "compare ab.json ba.json --box -1,1 --json").ends(1).json();
    fs::write(at.join("box.json"), "[[-1, 1], [-1, 1]]").unwrap();
    let same = slnn(at, "compare ab.json ba.json --box box.json --json").ends(1).json();
    assert_eq!(open["largest_difference"], same["largest_difference"]);
    assert_eq!((&open["equal"], &open["largest_difference"]), (&Value::Null, &Value::from(0.0)));
    let none = slnn(at, "compare ab.json ba.json").ends(2);
    assert!(none.err.contains("--box"), "{}", none.err);

    // Too large to expand under this limit: primes leave a probability, never the word equal.
    slnn(at, "expand net.json -o poly.json").ends(0);
    let arguments = "compare net.json poly.json --limit-terms 1 --json --seed";
    let primes = slnn(at, &format!("{arguments} 5")).ends(1).json();
    assert_eq!(primes["equal"], Value::Null);
    let probability = primes["error_probability"].as_f64().unwrap();
    assert!(probability <= 2f64.powi(-100), "{probability}");
    let again = slnn(at, &format!("{arguments} {}", primes["seed"].as_str().unwrap())).json();
    assert_eq!(again, primes);
}

#[test]
fn the_largest_difference_is_looked_for_in_the_box() {
    let directory = folder();
    let at = directory.path();
    fs::write(at.join("one.json"), affine("1", "0")).unwrap();
    fs::write(at.join("two.json"), affine("3", "0")).unwrap();
    let answer = slnn(at, "compare one.json two.json --box 2,5 --json").ends(1).json();
    assert_eq!(answer["equal"], false);
    // Every fourth point is a corner.
    assert_eq!((&answer["largest_difference"], &answer["at"][0]), (&10.0.into(), &5.0.into()));
    slnn(at, "expand two.json -o poly.json").ends(0);
    let answer = slnn(at, "compare poly.json one.json --box -5,-2 --json").ends(1).json();
    assert_eq!((&answer["largest_difference"], &answer["at"][0]), (&10.0.into(), &(-5.0).into()));
    slnn(at, "compare one.json two.json --box 2,1").ends(2);

    // A power that no memory holds is different from nothing without being written out.
    let one = |terms: &str| {
        format!(
            r#"{{"format":"slnn.polynomial","version":1,"variables":["x"],"coefficients":"rational",
            "outputs":[{{"name":"y","terms":[{terms}]}}]}}"#
        )
    };
    let far =
        r#"{"exponents":[1],"coefficient":"-1"},{"exponents":[4000000000],"coefficient":"1"}"#;
    fs::write(at.join("far.json"), one(far)).unwrap();
    fs::write(at.join("zero.json"), one("")).unwrap();
    let answer = slnn(at, "compare far.json zero.json --json").ends(1).json();
    assert_eq!((&answer["equal"], &answer["at"]), (&false.into(), &Value::Null));
}

#[test]
fn names_with_commas_are_quoted() {
    let directory = folder();
    let at = directory.path();
    let rows: String = (0..30).map(|i| format!("{},{},{}\n", i % 7, i % 5, i % 7 + i)).collect();
    fs::write(at.join("odd.csv"), format!("\"a, first\",b,y\n{rows}")).unwrap();
    // The arguments of a test are words: no space may stand in them.
    let named = fs::read_to_string(at.join("odd.csv")).unwrap().replace("a, first", "a,first");
    fs::write(at.join("odd.csv"), named).unwrap();
    slnn(at, "train odd.csv --ignore \"a,first\",b --target y -o n.json").ends(2);
    slnn(at, "train odd.csv --ignore \"a,first\" --epochs 2 -o n.json").ends(0);
    let inputs = slnn(at, "describe n.json --json").ends(0).json()["inputs"].clone();
    assert_eq!(inputs[0]["name"], "b", "{inputs}");
    assert_eq!(inputs.as_array().unwrap().len(), 1);
}

#[test]
fn a_network_and_its_certificate_are_written_together_or_not_at_all() {
    let directory = folder();
    let at = directory.path();
    fs::write(at.join("net.json"), relu([1, 0], [0, 1])).unwrap();
    let run = "approximate net.json --box -1,1 --degree 4 -o s.json --certificate";
    #[cfg(target_os = "linux")]
    {
        slnn(at, &format!("{run} /dev/full")).ends(2);
        assert!(!at.join("s.json").exists());
    }
    slnn(at, &format!("{run} c.json")).ends(0);
    slnn(at, "check c.json").ends(0);
    assert!(at.join("s.json").exists());
}

#[test]
fn descriptions_say_what_is_there() {
    let directory = trained();
    let at = directory.path();
    slnn(at, "expand net.json -o poly.json").ends(0);
    for (file, parts) in [
        ("net.json", &["network", "slaf", "total degree 2", "head    identity"][..]),
        ("poly.json", &["polynomial in 2 variables", "6 terms", "a^2"][..]),
        ("numbers.csv", &["24 rows", "target", "  a "][..]),
        ("auto-mpg", &["392 rows", "mpg"][..]),
    ] {
        let run = slnn(at, &format!("describe {file}")).ends(0);
        for part in parts {
            assert!(run.out.contains(part), "{part:?} in {}", run.out);
        }
        assert!(slnn(at, &format!("describe {file} --json")).ends(0).json()["kind"].is_string());
    }
}

#[test]
fn exports_write_what_was_asked() {
    let directory = trained();
    let at = directory.path();
    slnn(at, "expand net.json -o poly.json").ends(0);
    for (to, part) in [("latex", "a^{2}"), ("python", "def "), ("sympy", "sympy")] {
        for model in ["net.json", "poly.json"] {
            let name = format!("{model}.{to}");
            slnn(at, &format!("export {model} --to {to} -o {name}")).ends(0);
            let text = fs::read_to_string(at.join(name)).unwrap();
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
    slnn(at, "export net.json --to json -o again.json").ends(0);
    assert_eq!(slnn(at, "compare again.json poly.json").ends(0).code, 0);
    slnn(at, "export poly.json --to json-f64 -o rounded.json").ends(0);
    let rounded = slnn(at, "compare poly.json rounded.json --json").json();
    assert_eq!(rounded["equal_after_rounding"], true);
}

#[test]
fn a_defect_is_named_and_ends_with_2() {
    let directory = trained();
    let at = directory.path();
    slnn(at, "expand net.json -o poly.json").ends(0);
    let write = |name: &str, text: &str| fs::write(at.join(name), text).unwrap();
    write("hole.csv", "a,b,y\n1,2,3\n1,,4\n");
    write("two-spirals", "a,b,y\n1,2,3\n4,5,6\n");
    write("spelled.csv", "a,y\n1,1\n2,2\n3,1.0\n");
    write("text.csv", "a,b,y\n1,2,3\n1,green,4\n");
    write("ragged.csv", "a,b,y\n1,2,3\n1,2\n");
    write("key.json", &affine("1", "0").replace("\"head\"", "\"hat\": 1, \"head\""));
    write("version.json", &affine("1", "0").replace("1, \"inputs\"", "7, \"inputs\""));
    write("format.json", &affine("1", "0").replace("slnn.network", "slnn.certificate"));
    write("nan.json", &affine("NaN", "0"));
    write("shape.json", &affine("1, 2", "0"));
    write("word.json", &affine("\"one\"", "0"));
    write("brackets.json", &"[".repeat(1_000_000));
    write("deep.json", &format!("{{\"format\": {}", "[".repeat(1_000_000)));
    write("relu.json", &relu([1, 0], [0, 1]));
    let power = format!("[[0, 1{}, 1]]", ", 0".repeat(1098));
    let long = r#", {"kind": "slaf", "basis": "monomial", "coefficients": POWER}]"#;
    write(
        "long.json",
        &affine("1e-300", "0").replace("[0]}]", &format!("[0]}}{}", long.replace("POWER", &power))),
    );
    write("rows.json", "{\"test_rows\": [[0, 1]]}");
    write("x.checkpoint", "a,b,y\n1,2,3\n4,5,6\n7,8,1\n");
    write("x.search", "a,b,y\n1,2,3\n4,5,6\n7,8,1\n");
    write("list.json", "[]");
    write("marked.json", &format!("\u{feff}{}", affine("1", "0")));
    write("null.json", "null");
    write("cut.json", &polynomial("\"truncated\": 2,", "7", "1"));
    write("stroke.json", &polynomial("", "7", "\"6/\""));
    write("far.csv", "x\n0\n1e200\n");
    let difference = r#""layers": [
        {"kind": "affine", "weight": [[1], [1]], "bias": [0, 0]},
        {"kind": "slaf", "basis": "monomial", "coefficients": [[0, 0, 1]]},
        {"kind": "affine", "weight": [[1, -1]], "bias": [0]}]"#;
    let whole = affine("1", "0");
    let layers = whole.find("\"layers\"").unwrap()..whole.find(",\n           \"head\"").unwrap();
    write("nan-net.json", &whole.replace(&whole[layers], difference));
    for (arguments, parts) in [
        ("train absent.csv -o x.json", &["absent.csv"][..]),
        ("train numbers.csv --target z -o x.json", &["numbers.csv", "\"z\"", "\"a\"", "\"b\""]),
        ("train hole.csv --target y -o x.json", &["hole.csv", "line 3", "\"b\""]),
        ("train text.csv --target y -o x.json", &["text.csv", "line 3", "\"b\"", "green"]),
        ("train ragged.csv --target y -o x.json", &["ragged.csv", "line 3"]),
        ("train numbers.csv --target y -o numbers.csv", &["-o numbers.csv", "input"]),
        ("train numbers.csv --target y -o absent/x.json", &["-o absent/x.json", "no folder"]),
        ("train numbers.csv --target y -o .", &["folder"]),
        ("train numbers.csv --target y -o -", &["-o -", "standard output"]),
        ("train numbers.csv --target y --loss softmax -o x.json", &["numbers.csv", "class labels"]),
        ("train numbers.csv --target y --loss logistic -o x.json", &["numbers.csv", "row 0"]),
        ("approximate relu.json --box=-1,1 --epsilon -1 -o x.json", &["--epsilon", "-1"]),
        ("approximate relu.json --box=-1,1 --degree 2,3 -o x.json", &["--degree", "2 degrees"]),
        ("train numbers.csv --hidden 2,x -o x.json", &["--hidden", "\"x\""]),
        ("train numbers.csv --hidden 0 -o x.json", &["--hidden", "0 neurons"]),
        ("train numbers.csv --degree 2,2,2 -o x.json", &["--degree", "3 degrees"]),
        ("train numbers.csv --precision f16 -o x.json", &["--precision", "f16", "f64"]),
        ("train numbers.csv --test-fraction 2 -o x.json", &["--test-fraction", "2"]),
        ("train numbers.csv --learning-rate -1 -o x.json", &["--learning-rate"]),
        ("train numbers.csv --schedule step:3 -o x.json", &["--schedule", "step:EVERY:FACTOR"]),
        ("train numbers.csv --activation wobble -o x.json", &["--activation", "wobble"]),
        ("train numbers.csv --activation relu --degree 2 -o x.json", &["--degree", "--hybrid"]),
        ("train numbers.csv --patience 3 -o x.json", &["--patience", "validation"]),
        ("train xor --target z -o x.json", &["--target", "built-in"]),
        ("train numbers.csv --validation 0.99 -o x.json", &["--validation", "0.99", "1 row"]),
        ("train numbers.csv --test-fraction 0.97 -o x.json", &["--test-fraction", "1 row"]),
        ("train numbers.csv --activation relu --rationalise -o x.json", &["--activation", "--rat"]),
        ("train classes.csv --rationalise -o x.json", &["--rationalise", "softmax"]),
        ("train numbers.csv --hidden 99 --rationalise -o x.json", &["--rationalise", "parameters"]),
        ("train numbers.csv --hidden none --degree 5 -o x.json", &["--degree", "--hidden none"]),
        ("train numbers.csv --hidden none --shared -o x.json", &["--shared", "--hidden none"]),
        (
            "train numbers.csv --hidden none --routine boundary -o x.json",
            &["--routine", "boundary"],
        ),
        ("train numbers.csv --hidden none --warm-start tanh -o x.json", &["--warm-start"]),
        (
            "train numbers.csv --activation relu --routine max-scaled -o x.json",
            &["--routine", "max-scaled with --activation relu"],
        ),
        (
            "train numbers.csv --layers dense3,relu --basis legendre -o x.json",
            &["--basis", "--layers without a slaf"],
        ),
        ("train xor --no-header -o x.json", &["--no-header", "built-in"]),
        ("train two-spirals -o x.json", &["two-spirals", "./two-spirals"]),
        ("train spelled.csv --classes -o x.json", &["spelled.csv", "\"1\" and \"1.0\""]),
        ("train xor --optimiser lbfgs --learning-rate 5 -o x.json", &["--learning-rate", "lbfgs"]),
        ("train xor --optimiser lbfgs --schedule constant -o x.json", &["--schedule", "lbfgs"]),
        ("train numbers.csv --labels classes.csv -o x.json", &["--labels", "numbers.csv"]),
        ("train xor --labels classes.csv -o x.json", &["--labels", "classes.csv"]),
        ("train numbers.csv --test-rows rows.json:0 -o rows.json", &["-o rows.json", "input"]),
        ("train x.checkpoint -o x", &["checkpoint x.checkpoint", "input"]),
        ("train x.search -o x", &["search x.search", "input"]),
        (
            "train numbers.csv --layers dense3,residual(dropout0.5),slaf2 --optimiser lbfgs -o x.json",
            &["--layers: dropout", "L-BFGS"],
        ),
        (
            "train numbers.csv --target y --auto --learning-rate 5 -o x.json",
            &["--learning-rate", "L-BFGS", "--optimiser"],
        ),
        (
            "train numbers.csv --target y --auto --ensemble 0 -o x.json",
            &["--ensemble", "0", "1024"],
        ),
        (
            "train numbers.csv --target y --auto --ensemble 1025 -o x.json",
            &["--ensemble", "1025", "1024"],
        ),
        ("expand long.json -o x.json", &["\"y\"", "[1100]", "2^18", "--coefficients f64"]),
        ("evaluate numbers.csv net.json -o x.csv", &["numbers.csv", "a table", "network"]),
        ("approximate relu.json --box=-1,1 -o x.json", &["--epsilon", "--degree"]),
        ("evaluate net.json numbers.csv --labels rows.json -o rows.json", &["-o rows.json"]),
        ("evaluate net.json numbers.csv --labels rows.json -o x.csv", &["--labels"]),
        ("evaluate net.json numbers.csv --target nosuch -o x.csv", &["\"nosuch\"", "\"y\""]),
        ("evaluate net.json numbers.csv --ignore nosuch -o x.csv", &["\"nosuch\"", "\"y\""]),
        ("evaluate net.json numbers.csv --target a -o x.csv", &["--target", "\"a\"", "input"]),
        ("evaluate net.json numbers.csv --ignore a -o x.csv", &["--ignore", "\"a\"", "input"]),
        ("evaluate net.json xor --target z -o x.csv", &["--target", "built-in"]),
        ("evaluate nan-net.json far.csv -o x.csv", &["row 1", "\"y\"", "NaN"]),
        ("describe marked.json", &["marked.json", "byte order mark"]),
        ("describe list.json", &["list.json", "JSON", "format"]),
        ("describe null.json", &["null.json", "JSON", "format"]),
        ("describe brackets.json", &["brackets.json", "recursion"]),
        ("describe cut.json", &["cut.json", "terms[0].exponents", "7", "\"truncated\": 2"]),
        ("describe stroke.json", &["stroke.json", "\"6/\"", "p[/q]"]),
        ("train numbers.csv --threads 0 -o x.json", &["--threads", "0"]),
        ("train numbers.csv", &["--output"]),
        ("expand key.json -o x.json", &["key.json", "\"hat\""]),
        ("expand version.json -o x.json", &["version.json", "version", "7"]),
        ("expand format.json -o x.json", &["format.json", "slnn.certificate"]),
        ("expand nan.json -o x.json", &["nan.json", "line"]),
        ("expand shape.json -o x.json", &["shape.json", "layers[0]", "columns"]),
        ("expand word.json -o x.json", &["word.json", "layers[0].weight", "one"]),
        ("expand deep.json -o x.json", &["deep.json", "recursion"]),
        ("expand relu.json -o x.json", &["layer 1", "relu"]),
        ("expand poly.json -o x.json", &["poly.json", "polynomial"]),
        ("expand net.json -o net.json", &["-o net.json", "input"]),
        ("expand net.json", &["--output"]),
        ("expand net.json --limit-terms 2 -o x.json", &["6 terms", "MiB", " ms,", "2 terms"]),
        ("expand net.json --prove --no-prove -o x.json", &["--prove", "--no-prove"]),
        ("expand net.json --plan -o x.json", &["--plan", "--output"]),
        ("expand net.json --max-degree 1 --prove -o x.json", &["--prove", "--max-degree 1"]),
        (
            "expand net.json --max-degree 9 --coefficients f64 --prove -o x.json",
            &["--prove", "which rounds"],
        ),
        (
            "approximate relu.json --box=-1,1 --degree 3 --method c --parts 9 -o x.json",
            &["--parts", "--method D"],
        ),
        (
            "approximate relu.json --box=-1,1 --epsilon 0.3 --seconds 9 -o x.json",
            &["--seconds", "--method D"],
        ),
        ("expand net.json --limit-seconds nan -o x.json", &["--limit-seconds"]),
        ("expand net.json --limit-bytes 6XB -o x.json", &["--limit-bytes", "6GiB"]),
        ("expand net.json --limit-bytes 99999999999GiB -o x.json", &["--limit-bytes"]),
        ("evaluate net.json hole.csv -o x.csv", &["hole.csv", "line 3"]),
        ("evaluate net.json classes.csv -o classes.csv", &["-o classes.csv"]),
        ("evaluate net.json xor -o x.csv", &["\"a\"", "x1"]),
        ("evaluate net.json numbers.csv --bounds -o x.csv", &["--bounds", "network"]),
        ("compare net.json relu.json --box 1,-1", &["--box", "1,-1"]),
        ("compare net.json relu.json --box absent", &["--box", "absent"]),
        ("compare net.json key.json", &["key.json"]),
        ("compare net.json poly.json --seed green", &["--seed", "green"]),
        ("describe absent", &["absent"]),
        ("export poly.json --to chart -o x", &["chart", "latex"]),
        ("export poly.json --to python --digits 3 -o x", &["--digits"]),
        ("paint", &["paint"]),
    ] {
        let run = slnn(at, arguments);
        assert_eq!(run.code, 2, "{arguments}: {}{}", run.out, run.err);
        assert!(run.out.is_empty(), "{arguments}: {}", run.out);
        for part in parts {
            assert!(run.err.contains(part), "{arguments}: {part:?} in {}", run.err);
        }
        let json = slnn(at, &format!("{arguments} --json")).ends(2);
        assert_eq!(json.keys(), ["error"], "{arguments}");
        assert!(!at.join("x.json").exists() && !at.join("x.csv").exists(), "{arguments}");
    }
    fs::write(at.join("slnn-demo"), "mine").unwrap();
    let demo = slnn(at, "").ends(2);
    assert!(demo.err.contains("slnn-demo") && demo.err.contains("a folder"), "{}", demo.err);
}

/// One term `coefficient x^power`, and what else the file says.
fn polynomial(more: &str, power: &str, coefficient: &str) -> String {
    format!(
        r#"{{"format": "slnn.polynomial", "version": 1, "variables": ["x"], {more}
           "coefficients": "rational", "outputs": [{{"name": "y", "terms": [
           {{"exponents": [{power}], "coefficient": {coefficient}}}]}}]}}"#
    )
}

#[test]
fn values_that_f64_passes_through_infinity_to_are_exact() {
    let directory = folder();
    let at = directory.path();
    let value = |model: String, x: &str| {
        fs::write(at.join("poly.json"), model).unwrap();
        fs::write(at.join("x.csv"), format!("x\n{x}\n")).unwrap();
        slnn(at, "evaluate poly.json x.csv -o y.csv")
    };
    let read = |run: Run| -> f64 {
        run.ends(0);
        let text = fs::read_to_string(at.join("y.csv")).unwrap();
        text.lines().nth(1).unwrap().parse().unwrap()
    };
    // 1e200 is not 10^200, nor 1e-300 a power of ten: compare with the quotient in f64.
    let found = read(value(polynomial("", "2", "1e-300"), "1e200"));
    assert!((found / 1e100 - 1.0).abs() < 1e-15, "{found}");
    let found = read(value(polynomial("", "1", "\"0x1p+2000\""), "1e-310"));
    let expected = 1e-310 * 2f64.powi(1000) * 2f64.powi(1000);
    assert_eq!(found, expected);
    // What is beyond f64 is an error that says so.
    let run = value(polynomial("", "2", "1e-300"), "1e305").ends(2);
    assert!(
        run.err.contains("row 0") && run.err.contains("beyond the range of f64"),
        "{}",
        run.err
    );
    // About a centre the point moves, not the polynomial: this degree has no expansion.
    let high = || polynomial("\"centre\": [\"1/2\"],", "4294967295", "3");
    assert_eq!(read(value(high(), "1.5")), 3.0);
    assert_eq!(read(value(high(), "0.5")), 0.0);
    assert_eq!(read(value(high(), "-0.5")), -3.0);
    let run = value(high(), "0.75").ends(2);
    assert!(run.err.contains("bits"), "{}", run.err);
    let thirds = polynomial("\"centre\": [\"1/3\"],", "2", "9");
    assert!((read(value(thirds, "0.5")) - 0.25).abs() < 1e-12);

    fs::write(at.join("huge.json"), polynomial("", "1", "\"-0x1p+1048576\"")).unwrap();
    let run = slnn(at, "describe huge.json").ends(0);
    assert!(run.out.contains("-2^1048576") && !run.out.contains("inf"), "{}", run.out);
    let largest = &slnn(at, "describe huge.json --json").ends(0).json()["largest"]["y"][0];
    assert_eq!(largest["coefficient"], "-0x1p+1048576");
}

#[test]
fn a_rounded_file_is_not_called_proved() {
    let directory = trained();
    let at = directory.path();
    let run = slnn(at, "expand net.json --coefficients f64 -o rounded.json").ends(0);
    assert!(run.out.contains("rounded once") && !run.out.contains("\nproved equal"), "{}", run.out);
    let answer = slnn(at, "expand net.json --coefficients f64 -o rounded.json --json").json();
    assert_eq!((&answer["proved"], &answer["rounded"]), (&true.into(), &true.into()));
    assert_eq!(slnn(at, "expand net.json -o poly.json --json").json()["rounded"], false);
    let plan = slnn(at, "expand net.json --plan --limit-terms 2 --json").ends(1).json();
    assert_eq!(plan["feasible"], false);
}

#[test]
fn targets_are_found_or_left_out_as_asked() {
    let directory = folder();
    let at = directory.path();
    // The column is remembered though no flag named it, in the polynomial's file too.
    slnn(at, "train classes.csv --hidden 2 --degree 2 --epochs 40 -o net.json").ends(0);
    slnn(at, "expand net.json -o poly.json").ends(0);
    for model in ["net.json", "poly.json"] {
        let evaluate = format!("evaluate {model} classes.csv -o out.csv --json");
        let answer = slnn(at, &evaluate).ends(0).json();
        assert!(answer["score"]["accuracy"].is_number(), "{model}: {answer}");
        let answer = slnn(at, &format!("{evaluate} --ignore kind")).ends(0).json();
        assert_eq!(answer["score"], Value::Null);
    }
    slnn(at, &format!("{TRAIN} -o numbers.json")).ends(0);
    // Rows to be predicted have no target yet, or one of another kind.
    for cells in ["a,b,y\n1,2,\n", "a,b,y\n1,2,unknown\n"] {
        fs::write(at.join("new.csv"), cells).unwrap();
        let run = slnn(at, "evaluate numbers.json new.csv -o out.csv").ends(2);
        assert!(run.err.contains("--ignore \"y\""), "{}", run.err);
        let answer = slnn(at, "evaluate numbers.json new.csv --ignore y -o out.csv --json").ends(0);
        assert_eq!(answer.json()["score"], Value::Null);
    }
    fs::write(at.join("new.csv"), "a,b,kind\n1,2,hot\n").unwrap();
    let run = slnn(at, "evaluate net.json new.csv -o out.csv").ends(2);
    assert!(run.err.contains("\"hot\"") && run.err.contains("--ignore \"kind\""), "{}", run.err);
    slnn(at, "evaluate net.json new.csv --ignore kind -o out.csv").ends(0);
    // A target under another name.
    let renamed = fs::read_to_string(at.join("numbers.csv")).unwrap().replace(",y\n", ",z\n");
    fs::write(at.join("renamed.csv"), renamed).unwrap();
    let score = |arguments: &str| slnn(at, arguments).ends(0).json()["score"].clone();
    let original = score("evaluate numbers.json numbers.csv -o out.csv --json");
    assert_eq!(score("evaluate numbers.json renamed.csv -o out.csv --json"), Value::Null);
    assert_eq!(score("evaluate numbers.json renamed.csv --target z -o out.csv --json"), original);
}

#[test]
fn expansions_about_a_centre_and_in_fewer_variables() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    // (a + 2 b - c / 2 + 1)^2, and twice that less 1.
    let text = r#"{"format": "slnn.network", "version": 1,
        "inputs": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "outputs": ["y", "z"],
        "layers": [{"kind": "affine", "weight": [["1", "2", "-1/2"]], "bias": ["1"]},
                   {"kind": "slaf", "basis": "monomial", "coefficients": [["0", "0", "1"]]},
                   {"kind": "affine", "weight": [["1"], ["2"]], "bias": ["0", "-1"]}],
        "head": "identity"}"#;
    fs::write(at.join("net.json"), text).unwrap();
    let read = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(at.join(name)).unwrap()).unwrap()
    };

    slnn(at, "expand net.json --compressed --prove -o small.json").ends(0);
    let small = read("small.json");
    assert_eq!(small["variables"], serde_json::json!(["z1"]));
    assert_eq!(
        small["about"]["variables"],
        serde_json::json!([
            {"name": "z1", "weights": {"a": "1", "b": "2", "c": "-1/2"}, "bias": "1"}
        ])
    );
    assert_eq!(
        small["outputs"][1]["terms"],
        serde_json::json!([
            {"exponents": [0], "coefficient": "-1"}, {"exponents": [2], "coefficient": "2"}
        ])
    );
    let run = slnn(at, "expand small.json --compressed -o x.json").ends(2);
    assert!(run.err.contains("expanded already"), "{}", run.err);
    let wide =
        text.replace(r#"["1", "2", "-1/2"]], "bias": ["1"]"#, r#"["1", "2", "3"]], "bias": ["1"]"#);
    let wide = wide.replace(r#"{"name": "a"}, {"name": "b"}, {"name": "c"}"#, r#"{"name": "a"}"#);
    fs::write(at.join("wide.json"), wide.replace(r#"["1", "2", "3"]"#, r#"["1"]"#)).unwrap();
    let run = slnn(at, "expand wide.json --compressed -o x.json").ends(2);
    assert!(run.err.contains("--compressed") && run.err.contains("fewer"), "{}", run.err);

    // About the point where a + 2 b - c / 2 + 1 is 0 there is no constant and no linear term.
    slnn(at, "expand net.json --centre=-1,1,4 --prove -o there.json").ends(0);
    let there = read("there.json");
    assert_eq!(there["centre"], serde_json::json!(["-1", "1", "4"]));
    assert_eq!(there["outputs"][0]["terms"].as_array().unwrap().len(), 6);
    slnn(at, "compare net.json there.json").ends(0);

    let run = slnn(at, "describe there.json").ends(0);
    assert!(run.out.contains("distances from a -1, b 1, c 4"), "{}", run.out);

    slnn(at, "expand net.json --memory 1GiB -o y.json").ends(0);
    let run = slnn(at, "expand net.json --memory 1kB -o x.json").ends(2);
    assert!(run.err.contains("the limit of 1000 bytes"), "{}", run.err);
    assert!(!at.join("x.json").exists());
}

#[test]
fn inputs_are_compared_by_name() {
    let directory = folder();
    let at = directory.path();
    let net = |name: &str, inputs: [&str; 2], weight: &str, outputs: [&str; 2]| {
        let text = format!(
            r#"{{"format": "slnn.network", "version": 1, "inputs": [{{"name": "{}"}}, {{"name": "{}"}}],
               "outputs": {outputs:?}, "head": "identity",
               "layers": [{{"kind": "affine", "weight": {weight}, "bias": [0, 0]}}]}}"#,
            inputs[0], inputs[1]
        );
        fs::write(at.join(name), text).unwrap();
    };
    net("ab.json", ["a", "b"], "[[1, 2], [3, 4]]", ["y", "z"]);
    net("ba.json", ["b", "a"], "[[2, 1], [4, 3]]", ["y", "z"]);
    net("zy.json", ["b", "a"], "[[4, 3], [2, 1]]", ["z", "y"]);
    net("cd.json", ["c", "d"], "[[1, 2], [3, 4]]", ["y", "z"]);
    net("wrong.json", ["b", "a"], "[[1, 2], [3, 4]]", ["y", "z"]);
    slnn(at, "expand zy.json -o poly.json").ends(0);
    for other in ["ba.json", "zy.json", "poly.json"] {
        for pair in [format!("ab.json {other}"), format!("{other} ab.json")] {
            let answer = slnn(at, &format!("compare {pair} --json")).ends(0).json();
            assert_eq!((&answer["equal"], &answer["by_position"]), (&true.into(), &false.into()));
        }
    }
    let answer = slnn(at, "compare ab.json wrong.json --json").ends(1).json();
    assert_eq!((&answer["equal"], &answer["by_position"]), (&false.into(), &false.into()));
    let answer = slnn(at, "compare ab.json cd.json --json").ends(0).json();
    assert_eq!((&answer["equal"], &answer["by_position"]), (&true.into(), &true.into()));
    assert!(slnn(at, "compare ab.json cd.json").out.contains("by position"));
}

#[test]
fn an_open_comparison_says_what_would_decide() {
    let directory = trained();
    let at = directory.path();
    slnn(at, "expand net.json -o poly.json").ends(0);
    let run = slnn(at, "compare net.json poly.json --limit-operations 1").ends(1);
    assert!(run.out.contains("not decided"), "{}", run.out);
    assert!(
        run.out.contains("1 operations") && run.out.contains("--limit-operations"),
        "{}",
        run.out
    );
    slnn(at, "compare net.json poly.json --limit-operations 1e6").ends(0);
    slnn(at, "compare net.json poly.json --limit-operations nan").ends(2);
}

#[test]
fn plans_of_deep_rational_networks_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let pair = r#"{"kind": "affine", "weight": [["1/3"]], "bias": ["1/3"]},
        {"kind": "slaf", "basis": "monomial", "coefficients": [[0, 0, 1]]}"#;
    for (layers, degree) in [(5, 32), (30, 1 << 30), (127, 0)] {
        let all = vec![pair; layers].join(", ");
        let whole = affine("1", "0");
        let own = whole.find("{\"kind\"").unwrap()..whole.find("],\n           \"head\"").unwrap();
        fs::write(at.join("deep.json"), whole.replace(&whole[own], &all)).unwrap();
        for more in ["", "--max-degree 2"] {
            let plan = slnn(at, &format!("expand deep.json --plan --json {more}")).json();
            if degree > 0 && more.is_empty() {
                assert_eq!(plan["degree"], degree, "{plan}");
            }
        }
        slnn(at, "describe deep.json").ends(0);
    }
}

#[test]
fn a_table_survives_a_run_that_has_the_name_of_its_search() {
    let directory = folder();
    let at = directory.path();
    fs::copy(at.join("numbers.csv"), at.join("net.json.search")).unwrap();
    slnn(at, &format!("{TRAIN} -o net.json")).ends(0);
    assert_eq!(
        fs::read(at.join("numbers.csv")).unwrap(),
        fs::read(at.join("net.json.search")).unwrap()
    );
}

#[test]
fn a_bound_stands_in_the_file_of_the_polynomial_that_it_holds_for() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let tanh = r#"{"kind": "activation", "function": "tanh"}"#;
    let network = affine("4", "-1").replace("[-1]}]", &format!("[-1]}}, {tanh}]"));
    let network = network.replace(r#""name": "x""#, r#""name": "x", "lower": -1, "upper": 1"#);
    fs::write(at.join("tanh.json"), network).unwrap();
    slnn(at, "approximate tanh.json --degree 9 -o slnn.json").ends(0);
    for (more, stands) in [
        ("", true),
        ("--max-degree 9", true),
        ("--max-degree 8", false),
        ("--coefficients f64", false),
        ("--max-degree 9 --coefficients f64", false),
    ] {
        slnn(at, &format!("expand slnn.json -o poly.json {more}")).ends(0);
        let text = fs::read_to_string(at.join("poly.json")).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["about"]["approximates"].is_object(), stands, "{more}");
        let described = slnn(at, "describe poly.json").ends(0).out;
        assert_eq!(described.contains("y: said to be within"), stands, "{more}: {described}");
    }
}

#[test]
fn a_failure_leaves_old_files_as_they_were() {
    let directory = trained();
    let at = directory.path();
    fs::write(at.join("old"), "kept").unwrap();
    fs::write(at.join("relu.json"), relu([1, 0], [0, 1])).unwrap();
    fs::write(at.join("hole.csv"), "a,b,y\n1,2,3\n1,,4\n").unwrap();
    for arguments in [
        "train hole.csv -o old",
        "expand relu.json -o old",
        "expand net.json --limit-bytes 1 -o old",
        "evaluate net.json hole.csv -o old",
        "export relu.json --to latex -o old",
    ] {
        slnn(at, arguments).ends(2);
        assert_eq!(fs::read_to_string(at.join("old")).unwrap(), "kept", "{arguments}");
    }
    let litter = |name: &str| name.contains("slnn-tmp") || name.ends_with(".checkpoint");
    let names = fs::read_dir(at).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| litter(name)).count(), 0);
}

#[test]
fn a_reader_that_leaves_does_not_change_the_verdict() {
    let directory = trained();
    for (arguments, code) in
        [("describe net.json", 0), ("--help", 0), ("describe absent --json", 2)]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_slnn"))
            .args(arguments.split_whitespace())
            .current_dir(directory.path())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn bytes_depend_on_the_seed_and_not_on_the_threads() {
    let directory = folder();
    let at = directory.path();
    let bytes = |arguments: &str, name: &str| {
        slnn(at, &format!("{arguments} -o {name}")).ends(0);
        fs::read(at.join(name)).unwrap()
    };
    let train = format!("{TRAIN} --batch 7 --validation 0.2");
    let one = bytes(&format!("{train} --threads 1"), "one.json");
    let two = bytes(&format!("{train} --threads 2"), "two.json");
    assert_eq!(one, two);
    assert_ne!(one, bytes(&format!("{train} --seed 1"), "other.json"));
    let one = bytes("expand one.json --threads 1", "one.polynomial.json");
    let two = bytes("expand one.json --threads 2", "two.polynomial.json");
    assert_eq!(one, two);
}

/// Rows enough for parallel loops, whose only thread is the one that waits for the members.
#[test]
fn an_ensemble_ends_on_one_thread() {
    let directory = folder();
    let arguments =
        "train two-spirals --hidden 64,64 --degree 2 --epochs 2 --ensemble 2 --threads 1";
    let mut child = Command::new(env!("CARGO_BIN_EXE_slnn"))
        .args(arguments.split(' '))
        .args(["--quiet", "-o", "net.json"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("it waits for ever");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success());
}

#[test]
fn an_ensemble_is_one_network_of_the_same_degree() {
    let directory = folder();
    let at = directory.path();
    let bytes = |arguments: &str, name: &str| {
        let answer = slnn(at, &format!("{arguments} --json -o {name}")).ends(0).json();
        (answer, fs::read(at.join(name)).unwrap())
    };
    let train = format!("{TRAIN} --test-fraction 0.25 --ensemble 4");
    let (answer, one) = bytes(&format!("{train} --threads 1"), "one.json");
    let (_, two) = bytes(&format!("{train} --threads 2"), "two.json");
    assert_eq!(one, two);
    assert_eq!((&answer["ensemble"], &answer["mean_exact"]), (&4.into(), &true.into()));
    assert_eq!((&answer["degree"], &answer["monomials"]), (&2.into(), &6.into()));
    assert!(answer["best_epoch"].is_null() && answer["auto"].is_null(), "{answer}");
    slnn(at, "expand one.json -o poly.json").ends(0);
    assert_eq!(slnn(at, "compare one.json poly.json --json").ends(0).json()["equal"], true);
    assert!(!at.join("one.json.checkpoint").exists());
    // An ensemble does not go on from the checkpoint of a single network.
    let single = fs::read(at.join("one.json")).unwrap();
    fs::write(at.join("one.json.checkpoint"), single).unwrap();
    let run = slnn(at, &format!("{train} --resume -o one.json")).ends(2);
    assert!(run.err.contains("one.json.checkpoint") && run.err.contains("format"), "{}", run.err);
}

#[test]
fn auto_chooses_within_its_budget_and_keeps_what_is_given() {
    let directory = folder();
    let at = directory.path();
    let auto = "train numbers.csv --target y --auto --epochs 20 --trials 6 --json";
    let run = slnn(at, &format!("{auto} --test-fraction 0.2 -o net.json")).ends(0);
    assert!(run.err.contains("at most 6 trainings of 20 epochs"), "{}", run.err);
    let answer = run.json();
    assert_eq!(answer["auto"]["trials"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(answer["auto"]["ensemble"], answer["ensemble"]);
    let outside = answer["test_outside_rows"].as_array().unwrap();
    assert_eq!(answer["test_outside_box"], outside.len());
    assert!(!at.join("net.json.search").exists() && !at.join("net.json.checkpoint").exists());
    let run = slnn(at, &format!("{auto} --hidden 3 --degree 2 --l2 0.5 --ensemble 2 -o b.json"));
    let answer = run.ends(0).json();
    let chosen = &answer["auto"];
    let given = serde_json::json!([[3], [2], 0.5, 2]);
    let own = [&chosen["hidden"], &chosen["degree"], &chosen["l2"], &chosen["ensemble"]];
    assert_eq!(&serde_json::json!(own), &given);
    let run = slnn(at, &format!("{auto} --activation tanh --hidden 4 -o c.json")).ends(0);
    assert!(run.json()["degree"].is_null());
}

#[test]
fn auto_says_which_number_is_far_from_all_others_where_everything_diverges() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut extreme = String::from("a,b,y\n");
    for i in 0..40 {
        let (a, b) = (f64::from(i * 7 % 40) / 20.0 - 1.0, f64::from(i * 11 % 40) / 20.0 - 1.0);
        let far = if i == 5 { 9.96921e36 } else { a };
        extreme.push_str(&format!("{far},{b},{}\n", (4.0 * b).tanh()));
    }
    fs::write(at.join("extreme.csv"), extreme).unwrap();
    let auto = "train extreme.csv --target y --auto --no-teacher --hidden 8,8 --degree 8";
    let run = slnn(at, &format!("{auto} --epochs 5 -o net.json")).ends(2);
    assert!(run.err.contains("a = 9.96921e36 in row 5"), "{}", run.err);
}

#[test]
fn auto_tries_a_teacher_where_there_can_be_one_and_says_what_it_costs() {
    let directory = folder();
    let at = directory.path();
    let auto =
        "train numbers.csv --target y --auto --epochs 3 --hidden 3 --degree 2 --l2 0.1 --json";
    let roles = |answer: &Value| {
        let role = |t: &Value| t["role"].as_str().unwrap().to_owned();
        answer["auto"]["trials"].as_array().unwrap().iter().map(role).collect::<Vec<_>>()
    };
    let run = slnn(at, &format!("{auto} --threads 1 -o one.json")).ends(0);
    assert!(run.err.contains("among 8 candidates") && run.err.contains("6,003"), "{}", run.err);
    let own = roles(&run.json());
    for kind in ["teacher", "relu-teacher"] {
        assert_eq!(own.iter().filter(|role| *role == kind).count(), 3, "{own:?}");
    }
    assert_eq!(own.last().unwrap(), "taught", "{own:?}");
    assert!(own[0] == "alone" && own.len() == 8, "{own:?}");
    slnn(at, &format!("{auto} --threads 2 -o two.json")).ends(0);
    assert_eq!(fs::read(at.join("one.json")).unwrap(), fs::read(at.join("two.json")).unwrap());
    for flag in ["--no-teacher", "--activation tanh"] {
        let run = slnn(
            at,
            &format!("{auto} {flag} -o net.json")
                .replace("--degree 2", if flag == "--no-teacher" { "--degree 2" } else { "" }),
        );
        let run = run.ends(0);
        assert!(!run.err.contains("teacher"), "{flag}: {}", run.err);
        assert_eq!(roles(&run.json()), ["alone"], "{flag}");
    }
    let run = slnn(at, "train numbers.csv --target y --no-teacher -o net.json").ends(2);
    assert!(run.err.contains("--auto"), "{}", run.err);
}

#[test]
fn routines_train_by_name_and_refuse_what_they_cannot() {
    let directory = folder();
    let at = directory.path();
    let train = "train numbers.csv --target y --hidden 3 --degree 2 --epochs 20 --json -o net.json";
    for routine in [
        "normalised",
        "clipped",
        "max-scaled",
        "hybrid",
        "penalty-step --l1 0.01 --penalise first-layer",
        "warm-start",
        "boundary,penalty-step,warm-start --boundary 0.1",
        "clipped,penalty-step",
    ] {
        let run = slnn(at, &format!("{train} --routine {routine}")).ends(0);
        assert_eq!(run.json()["degree"].is_null(), routine == "hybrid", "{routine}");
    }
    for (arguments, part) in [
        ("--routine other", "max-scaled"),
        ("--routine clipped,boundary", "clipped,boundary"),
        ("--routine max-scaled --basis chebyshev", "one of the two left out"),
        ("--boundary 2", "--routine boundary beside it"),
        ("--routine boundary --basis hermite", "--routine"),
        ("--ensemble 0", "--ensemble"),
        ("--ensemble 2 --rationalise", "--ensemble"),
        ("--trials 3", "--auto"),
        ("--auto --trials 1", "--trials"),
    ] {
        let run = slnn(at, &format!("{train} {arguments}")).ends(2);
        assert!(run.err.contains(part), "{arguments}: {}", run.err);
    }
    for flag in ["--auto", "--ensemble 2"] {
        let layers = "train numbers.csv --target y --layers dense3,slaf2,dense1 -o net.json";
        let run = slnn(at, &format!("{layers} {flag}")).ends(2);
        let refused = run.err.contains(&flag[..6]) && run.err.contains("--layers");
        assert!(refused && !run.err.contains("choosing"), "{flag}: {}", run.err);
    }
}

#[test]
fn rationalise_proves_xor() {
    let directory = folder();
    let at = directory.path();
    let train = "train xor --hidden 1 --degree 2 --basis monomial --optimiser lbfgs --l2 0 \
                 --epochs 500 --restarts 20 --target-loss 1e-24 --rationalise --json -o xor.json";
    let answer = slnn(at, train).ends(0).json();
    assert_eq!(answer["rationalised"], true, "{answer}");
    assert_eq!(answer["residual"], "0");
    slnn(at, "expand xor.json -o poly.json").ends(0);
    assert_eq!(slnn(at, "compare xor.json poly.json").ends(0).code, 0);
}

#[test]
fn every_verb_has_help_with_an_example() {
    let directory = folder();
    for verb in ["", "train", "expand", "evaluate", "compare", "describe", "export"] {
        let run = slnn(directory.path(), &format!("{verb} --help")).ends(0);
        assert!(run.out.contains("Example: slnn"), "{verb}: {}", run.out);
    }
    assert!(slnn(directory.path(), "--version").ends(0).out.starts_with("slnn "));
}

/// All numbers in a value.
fn numbers(value: &Value, found: &mut Vec<f64>) {
    match value {
        Value::Number(x) => found.extend(x.as_f64()),
        Value::Array(items) => items.iter().for_each(|item| numbers(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| numbers(field, found)),
        _ => {}
    }
}

#[test]
fn certificates_become_coq_files() {
    let directory = folder();
    let here = directory.path();
    let train = "train numbers.csv --target y --hidden 3 --epochs 20 -o net.json --activation";
    let approximate = "approximate net.json --box -1,1 --degree 5 --attack 0 -o slnn.json \
                       --certificate cert.json --method";
    slnn(here, &format!("{train} sigmoid")).ends(0);
    slnn(here, &format!("{approximate} c")).ends(0);
    let run = slnn(here, "check --coq cert.json -o proof --json").ends(0);
    assert_eq!(run.json()["valid"], Value::Null);
    assert_eq!(run.json()["written"].as_array().unwrap().last().unwrap(), "Certificate.v");
    for (name, text) in slnn::bound::check::coq::THEORIES {
        assert_eq!(fs::read_to_string(here.join("proof").join(name)).unwrap(), text);
        assert!(fs::read_to_string(here.join("proof/_CoqProject")).unwrap().contains(name));
    }
    // The fast mode is another theory, and another theorem that is applied.
    slnn(here, "check --coq --fast cert.json -o fast").ends(0);
    let (name, text) = slnn::bound::check::coq::FAST;
    assert_eq!(fs::read_to_string(here.join("fast").join(name)).unwrap(), text);
    assert!(!here.join("proof").join(name).exists());
    let of = |folder: &str| fs::read_to_string(here.join(folder).join("Certificate.v")).unwrap();
    assert!(of("fast").contains("apply fast_check_sound."));
    assert!(of("proof").contains("apply check_sound."));
    slnn(here, "check --fast cert.json").ends(2);
    // An activation has its word.
    for (name, word) in [("gelu", "Gelu"), ("silu", "Silu"), ("abs", "Abs"), ("elu", "(Elu (")] {
        slnn(here, &format!("{train} {name}")).ends(0);
        slnn(here, &format!("{approximate} c")).ends(0);
        slnn(here, "check --coq cert.json -o proof").ends(0);
        assert_eq!(of("proof").matches(&format!("Neuron {word}")).count(), 3);
    }
    // Every number of the networks and the claims is in the file, as m 2^e.
    let approximate_blocks = "approximate net.json --box -1,1 --epsilon 1e-3 --minimise evaluation \
                              --attack 0 -o slnn.json --certificate cert.json";
    for (activation, options, theorem) in [
        ("relu", "blocks", "check_sound"),
        ("sigmoid", "c", "check_sound"),
        ("sigmoid", "d", "divided_sound"),
    ] {
        slnn(here, &format!("{train} {activation}")).ends(0);
        let command = match options {
            "blocks" => approximate_blocks.to_owned(),
            method => format!("{approximate} {method}"),
        };
        slnn(here, &command).ends(0);
        slnn(here, "check --coq cert.json -o proof").ends(0);
        let instance = fs::read_to_string(here.join("proof/Certificate.v")).unwrap();
        assert!(instance.contains(theorem));
        let words: Vec<_> = instance.split(|c: char| !(c.is_alphanumeric() || c == '-')).collect();
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let written = words.windows(3).filter(|words| words[0] == "D");
        let written: Vec<f64> = written
            .filter_map(|words| {
                let (mantissa, exponent): (i64, i32) =
                    (words[1].parse().ok()?, words[2].parse().ok()?);
                Some(mantissa as f64 * f64::from(exponent).exp2())
            })
            .collect();
        let text = fs::read_to_string(here.join("cert.json")).unwrap();
        let certificate: Value = serde_json::from_str(&text).unwrap();
        let mut claimed = Vec::new();
        for key in ["box", "layers", "bound"] {
            numbers(&certificate[key], &mut claimed);
        }
        for network in ["network", "slnn"] {
            numbers(&certificate[network]["layers"], &mut claimed);
        }
        numbers(&certificate["division"]["bands"], &mut claimed);
        assert!(claimed.len() > if options == "d" { 150 } else { 50 });
        for x in claimed {
            assert!(written.contains(&x), "{options}: {x} is missing");
        }
        if options == "blocks" {
            assert!(
                instance.contains("Definition spans") && instance.contains("Theorem by_layers")
            );
            continue;
        }
        let splits = certificate["division"]["splits"].as_array().map_or(0, Vec::len);
        assert_eq!(instance.matches("Some (").count() + instance.matches("; None").count(), splits);
    }

    // What Coq has no words for is named.
    let text = fs::read_to_string(here.join("cert.json")).unwrap();
    let mut certificate: Value = serde_json::from_str(&text).unwrap();
    certificate["division"]["bands"].as_array_mut().unwrap().pop();
    fs::write(here.join("short.json"), certificate.to_string()).unwrap();
    let run = slnn(here, "check --coq short.json -o none --json").ends(1);
    assert!(run.json()["reason"]["message"].as_str().unwrap().contains("bands of"));
    let mut certificate: Value = serde_json::from_str(&text).unwrap();
    certificate["division"]["splits"][0] = serde_json::json!([900_000_000, 0.25]);
    fs::write(here.join("far.json"), certificate.to_string()).unwrap();
    let run = slnn(here, "check --coq far.json -o none --json").ends(1);
    assert!(run.json()["reason"]["message"].as_str().unwrap().contains("input 900000000"));
    assert!(!here.join("none").exists());
    slnn(here, "check --coq cert.json").ends(2);
    slnn(here, "check cert.json -o none").ends(2);
}

#[test]
fn certificates_are_checked_and_described() {
    let directory = folder();
    let here = directory.path();
    let train = "train numbers.csv --target y --hidden 3 --activation tanh --epochs 20";
    slnn(here, &format!("{train} -o net.json")).ends(0);
    slnn(here, &format!("{train} --seed 5 -o other.json")).ends(0);
    let approximate = "approximate net.json --box -1,1 --degree 7 --attack 0";
    slnn(here, &format!("{approximate} -o slnn.json --certificate cert.json")).ends(0);

    for (option, found) in [("--seconds nan", "--seconds: found NaN"), ("--seconds -1", "found -1")]
    {
        let run = slnn(here, &format!("{approximate} {option} -o x.json")).ends(2);
        assert!(run.err.contains(found), "{}", run.err);
    }
    let run = slnn(here, "approximate net.json --box -1,1 --epsilon -1 -o x.json").ends(2);
    assert!(run.err.contains("epsilon: found -1"), "{}", run.err);
    // One file cannot be both, by whatever name.
    let run = slnn(here, &format!("{approximate} -o one.json --certificate ./one.json")).ends(2);
    assert!(run.err.contains("--certificate: found ./one.json"), "{}", run.err);
    assert!(!here.join("one.json").exists());

    let run = slnn(here, "check cert.json --json").ends(0);
    let answer = run.json();
    assert_eq!(answer["valid"], true);
    assert_eq!(answer["reason"], Value::Null);
    let text = fs::read_to_string(here.join("cert.json")).unwrap();
    let certificate: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["certified_error"], certificate["bound"]);
    assert_eq!(answer["network_sha256"], certificate["network_sha256"]);
    assert_eq!(answer["arithmetic"]["propagation"], "exact");
    // Without the networks it says which ones it was about.
    let sum = certificate["slnn_sha256"].as_str().unwrap();
    assert!(slnn(here, "check cert.json").ends(0).out.contains(sum));
    let run = slnn(here, "check cert.json --network net.json --slnn slnn.json").ends(0);
    assert!(run.out.starts_with("valid") && run.out.contains("slnn.json"), "{}", run.out);

    for files in ["--network other.json", "--network slnn.json", "--slnn net.json"] {
        let run = slnn(here, &format!("check cert.json {files} --json")).ends(1);
        assert_eq!(run.json()["valid"], false);
        assert_eq!(run.json()["certified_error"], Value::Null);
        assert!(run.json()["reason"]["message"].as_str().unwrap().contains("is not the"));
    }
    let activation =
        certificate["layers"].as_array().unwrap().iter().position(Value::is_array).unwrap();
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut certificate = certificate.clone();
        change(&mut certificate);
        fs::write(here.join("broken.json"), certificate.to_string()).unwrap();
    };
    let half = |x: &mut Value| *x = (x.as_f64().unwrap() / 2.0).into();
    broken(&|c| half(&mut c["layers"][activation][2]["error"]));
    let run = slnn(here, "check broken.json --json").ends(1);
    assert_eq!(run.json()["reason"]["layer"], activation);
    assert_eq!(run.json()["reason"]["neuron"], 2);
    broken(&|c| half(&mut c["bound"][0]));
    let run = slnn(here, "check broken.json").ends(1);
    assert!(run.out.starts_with("not valid: output 0"), "{}", run.out);
    // What is no certificate, or contradicts itself, is bad input.
    broken(&|c| c["network_sha256"] = "0".into());
    assert!(slnn(here, "check broken.json").ends(2).err.contains("network_sha256"));
    slnn(here, "check net.json").ends(2);
    slnn(here, "check cert.json --network numbers.csv").ends(2);

    let described = slnn(here, "describe cert.json --json").ends(0).json();
    assert_eq!(described["kind"], "certificate");
    assert_eq!(described["certified_error"], certificate["bound"]);
    assert_eq!(described["box"], certificate["box"]);
    let text = slnn(here, "describe cert.json").ends(0).out;
    assert!(text.contains("method  C") && text.contains(sum), "{text}");
}

#[test]
fn values_that_f64_loses_are_told() {
    let directory = folder();
    let at = directory.path();
    fs::write(at.join("cube.json"), {
        let input = r#"{"name":"x","lower":1e6,"upper":1000001}"#;
        format!(
            r#"{{"format":"slnn.network","version":1,"inputs":[{input}],"outputs":["y"],"head":"identity",
            "layers":[{{"kind":"affine","weight":[[1]],"bias":[-1000000]}},
            {{"kind":"slaf","basis":"monomial","coefficients":[[0,0,0,1]]}}]}}"#
        )
    })
    .unwrap();
    let far = slnn(at, "expand cube.json -o far.json").ends(0);
    assert!(far.out.contains("--centre 1000000 "), "{}", far.out);
    let near = slnn(at, "expand cube.json --centre 1000000 -o near.json").ends(0);
    assert!(!near.out.contains("cancel"), "{}", near.out);
    for (arguments, lost) in [
        ("far.json --to python", true),
        ("far.json --to json-f64", true),
        ("far.json --to latex", true),
        ("cube.json --to python", true),
        ("far.json --to json", false),
        ("near.json --to python", false),
        ("near.json --to latex", false),
    ] {
        let run = slnn(at, &format!("export {arguments} -o x")).ends(0);
        assert_eq!(run.out.contains("y may be off by"), lost, "{arguments}: {}", run.out);
    }
    // The box comes along with the polynomial, about any centre.
    fs::write(at.join("rows.csv"), "x\n1000000.5\n1000002\n").unwrap();
    for polynomial in ["far.json", "near.json"] {
        let run = slnn(at, &format!("evaluate {polynomial} rows.csv -o y.csv --json")).ends(0);
        assert_eq!(run.json()["outside_box"], 1);
    }
}

#[test]
fn a_proof_keeps_within_the_seconds_that_are_given() {
    let directory = folder();
    let at = directory.path();
    slnn(
        at,
        "train numbers.csv --hidden 24,24 --degree 4,4 --epochs 1 --basis monomial -o deep.json",
    )
    .ends(0);
    let told = |arguments: &str| {
        slnn(at, &format!("expand deep.json -o p.json --json {arguments}")).ends(0).json()
    };
    assert_eq!(told("")["proved"], true);
    assert_eq!(told("--limit-seconds 0.02")["proved"], false);
}
