//! The promises of the table room: defects are named, numbers survive, nothing panics.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;
use slnn::table::{
    ReadOptions, Split, Standardisation, Table, problems, read_csv, read_idx_images, read_inputs,
    read_npy, read_splits, read_targets, write_csv,
};
use tempfile::TempDir;

/// A new directory with one file in it.
fn file(name: &str, bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(dimensions: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|dimension| bytes.extend(dimension.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn npy(array: &Array2<f64>) -> Vec<u8> {
    let (rows, columns) = array.dim();
    let header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(array.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

/// The folder of public data beside the project, unless it is absent.
fn shared_data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("SLNN_DATA").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no folder {}", folder.display());
    None
}

/// Every number of a table is finite, and every row of one-hot targets has a single one.
fn assert_sound(table: &Table) {
    assert!(table.rows() > 0);
    assert_eq!(table.inputs().dim(), (table.rows(), table.input_names().len()));
    assert_eq!(table.targets().dim(), (table.rows(), table.target_names().len()));
    assert!(table.inputs().iter().chain(table.targets()).all(|x| x.is_finite()));
    if table.classes().is_some() {
        assert!(table.targets().rows().into_iter().all(|row| row.sum() == 1.0));
    }
}

#[test]
fn every_defect_of_a_csv_file_is_an_error_that_says_where() {
    let plain = ReadOptions::default;
    let targets = |names: &[&str]| ReadOptions::targets(names.iter().copied());
    let ignore = |name: &str| ReadOptions { ignore: vec![name.into()], ..plain() };
    let classes =
        |names: [&str; 2]| ReadOptions { classes: names.map(String::from).into(), ..plain() };
    let labels = || ReadOptions { class_labels: true, ..targets(&["b", "c"]) };
    let cases: Vec<(&str, ReadOptions, &[&str])> = vec![
        ("a,b\n1,2\n,3\n", plain(), &["line 3", "column \"a\"", "nothing"]),
        ("a,b\n1,2\nNA,3\n", plain(), &["line 3", "column \"a\"", "\"NA\""]),
        ("a,b\n1,2\n3,?\n", plain(), &["line 3", "column \"b\"", "\"?\""]),
        ("a,b\n1,2\n3,nan\n", plain(), &["line 3", "column \"b\"", "\"nan\""]),
        ("a,b\n1,NA\n3,4\n", plain(), &["line 2", "column \"b\"", "\"NA\""]),
        ("a,b\n1,2\n\n\nx,3\n", plain(), &["line 5", "column \"a\"", "\"x\"", "--ignore \"a\""]),
        ("a,b\n1,2\n3,x\n", plain(), &["line 3", "column \"b\"", "\"x\"", "--classes"]),
        ("a,b\n1,x\n3,2\n", plain(), &["line 3", "column \"b\"", "\"2\"", "--classes"]),
        ("a,b\n1,x\n3,\n", plain(), &["line 3", "column \"b\"", "a class label"]),
        ("a,b\n1,2\n3,4,5\n", plain(), &["line 3", "after the last column \"b\"", "3 fields"]),
        ("a,b,c\n1,2,3\n3\n", plain(), &["line 3", "column \"b\" is missing", "1 fields"]),
        ("a,b\n1,2\n\"3,4\n", plain(), &["line 3", "column \"a\"", "a quote", "never closed"]),
        ("a,b\n1,x\n2,\"y\n3,x\n", plain(), &["line 3", "column \"b\"", "a quote"]),
        ("a,b\n1,2\ninf,4\n", plain(), &["line 3", "column \"a\"", "a finite number"]),
        ("a,b\n1,2\n1e999,4\n", plain(), &["line 3", "column \"a\"", "a finite number"]),
        ("", plain(), &["no rows"]),
        ("a,b\n", plain(), &["no rows"]),
        ("a,a\n1,2\n", plain(), &["header, column 2", "\"a\" again"]),
        ("a,\n1,2\n", plain(), &["header, column 2", "no name", "--ignore \"\""]),
        ("1,2\n3,4\n", plain(), &["header, column 1", "the number \"1\"", "--no-header"]),
        ("a;b\n1;2\n", plain(), &["header, column 1", "';'", "--delimiter"]),
        ("a,b\n1,7\n2,7\n", plain(), &["target column \"b\"", "7 in all 2 rows", "not constant"]),
        ("a,b\n1,x\n2,x\n", plain(), &["target column \"b\"", "\"x\" in all 2 rows", "classes"]),
        ("a,b\n1,2\n2,3\n", targets(&["y"]), &["no column named \"y\"", "\"a\", \"b\""]),
        ("a,b\n1,2\n2,3\n", targets(&["1"]), &["no column named \"1\""]),
        ("a,b\n1,2\n2,3\n", targets(&["b", "b"]), &["\"b\"", "a target twice"]),
        ("a,b\n1,2\n2,3\n", targets(&["a", "b"]), &["no input columns"]),
        ("a,b\n1,2\n2,3\n", ignore("y"), &["no column named \"y\""]),
        (
            "a,b\n1,2\n2,3\n",
            ReadOptions { targets: vec!["a".into()], ..ignore("a") },
            &["\"a\"", "a target and ignored"],
        ),
        ("a,b,c\n1,x,y\n2,y,x\n", targets(&["b", "c"]), &["line 2", "column \"b\"", "single"]),
        ("a,b,c\n1,2,3\n2,3,4\n", labels(), &["2 target columns", "a single one"]),
        (
            "a,b\n1,x\n2,z\n",
            classes(["x", "y"]),
            &["line 3", "column \"b\"", "\"z\"", "\"x\", \"y\""],
        ),
    ];
    for (text, options, parts) in cases {
        let (_directory, path) = file("defect.csv", text);
        let message = read_csv(&path, &options).unwrap_err().to_string();
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        for part in parts {
            assert!(message.contains(part), "{text:?}: no {part} in: {message}");
        }
    }
    let (_directory, path) = file("latin.csv", b"a,b\n1,2\n3,\xe9\n");
    let message = read_csv(&path, &plain()).unwrap_err().to_string();
    assert!(message.contains("line 3") && message.contains("0xe9"), "{message}");
    let message = Table::read(Path::new("absent.csv"), &plain()).unwrap_err().to_string();
    assert!(message.starts_with("absent.csv: "), "{message}");
}

#[test]
fn a_long_cell_is_cut_in_the_message() {
    let (_directory, path) = file("long.csv", format!("a,b\n{},1\n", "z".repeat(100_000)));
    assert!(read_csv(&path, &ReadOptions::default()).unwrap_err().to_string().len() < 1000);
}

#[test]
fn many_labels_in_many_rows_are_refused_before_memory_is_taken() {
    let rows: String = (0..20_000).map(|i| format!("1,k{i}\n")).collect();
    let (_directory, path) = file("labels.csv", format!("a,b\n{rows}"));
    let message = read_csv(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("20000 classes in 20000 rows"), "{message}");
}

#[test]
fn an_ignored_column_may_hold_text_and_tabs_separate_a_tsv_file() {
    let (_directory, path) =
        file("cars.tsv", "name\tmpg\tyear\nford, blue\t18\t70\nvw\t\"26\"\t71\n");
    let options = ReadOptions { ignore: vec!["name".into()], ..ReadOptions::targets(["mpg"]) };
    let table = Table::read(&path, &options).unwrap();
    assert_eq!(table.inputs(), array![[70.0], [71.0]]);
    assert_eq!(table.targets(), array![[18.0], [26.0]]);
    let (_directory, path) = file("index.csv", ",a,,b\n0,1,x,2\n1,3,,4\n");
    let options = ReadOptions { ignore: vec!["".into()], ..Default::default() };
    assert_eq!(Table::read(&path, &options).unwrap().input_names(), ["a"]);
}

/// Column names as a reader gives them back: no white space around, not empty, not a number.
fn column_names(count: usize) -> impl Strategy<Value = Vec<String>> {
    let name = "[ -~\"',;\n\u{e9}\u{4e2d}]{1,8}".prop_map(|name| name.trim().to_string());
    let name = name.prop_filter("a name", |name| !name.is_empty() && name.parse::<f64>().is_err());
    prop::collection::hash_set(name, count).prop_map(|names| names.into_iter().collect())
}

fn finite() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn csv_gives_back_every_bit_and_every_name(
        (names, values) in (2usize..5, 2usize..6).prop_flat_map(|(columns, rows)| {
            (column_names(columns), prop::collection::vec(finite(), rows * columns))
        })
    ) {
        let columns = names.len();
        let values = Array2::from_shape_vec((values.len() / columns, columns), values).unwrap();
        let (_directory, path) = file("round.csv", "");
        write_csv(&path, &names, values.view()).unwrap();
        let back = read_inputs(&path, &names, &ReadOptions::default()).unwrap();
        prop_assert_eq!(back.mapv(f64::to_bits), values.mapv(f64::to_bits));
        let last = values.column(columns - 1);
        if last.iter().any(|x| *x != last[0]) {
            let table = read_csv(&path, &ReadOptions::default()).unwrap();
            prop_assert_eq!([table.input_names(), table.target_names()].concat(), names);
            let bits = table.targets().mapv(f64::to_bits);
            prop_assert_eq!(bits.column(0), last.mapv(f64::to_bits));
        }
    }

    #[test]
    fn idx_gives_back_every_pixel(
        (pixels, labels) in (2usize..6, 1usize..9).prop_flat_map(|(images, pixels)| {
            let labels = prop::collection::vec(0u8..12, images)
                .prop_filter("two classes", |labels| labels.iter().any(|l| *l != labels[0]));
            (prop::collection::vec(any::<u8>(), images * pixels), labels)
        }),
        compressed in any::<bool>(),
    ) {
        let (images, count) = (labels.len(), pixels.len() / labels.len());
        let mut bytes = idx(&[images as u32, 1, count as u32], &pixels);
        let mut label_bytes = idx(&[images as u32], &labels);
        if compressed {
            (bytes, label_bytes) = (gzip(&bytes), gzip(&label_bytes));
        }
        // No extension: the first bytes say what the file is.
        let (_a, path) = file("images", bytes);
        let (_b, label_path) = file("labels", label_bytes);
        let options = ReadOptions { labels: Some(label_path), ..Default::default() };
        let table = Table::read(&path, &options).unwrap();
        assert_sound(&table);
        let exact: Vec<_> = pixels.iter().map(|&p| f64::from(p) / 255.0).collect();
        prop_assert_eq!(table.inputs().iter().copied().collect::<Vec<_>>(), exact);
        let classes = usize::from(*labels.iter().max().unwrap()) + 1;
        prop_assert_eq!(table.classes().unwrap().len(), classes);
        for (row, &label) in table.targets().rows().into_iter().zip(&labels) {
            prop_assert_eq!(row[usize::from(label)], 1.0);
        }
        let names: Vec<_> = (1..=count).map(|i| format!("x{i}")).collect();
        prop_assert_eq!(&read_inputs(&path, &names, &options).unwrap(), table.inputs());
        let targets = read_targets(&path, table.target_names(), &options).unwrap();
        prop_assert_eq!(targets.as_ref(), Some(table.targets()));
    }

    #[test]
    fn a_split_by_fraction_is_disjoint_complete_and_repeatable(
        rows in 2usize..200, fraction in 0.001f64..0.999, seed in any::<u64>(),
    ) {
        let split = Split::by_fraction(rows, fraction, seed).unwrap();
        let all: HashSet<_> = split.train.iter().chain(&split.test).copied().collect();
        prop_assert_eq!(all.len(), rows);
        prop_assert_eq!(split.train.len() + split.test.len(), rows);
        prop_assert!(all.iter().all(|row| *row < rows));
        prop_assert!(!split.train.is_empty() && !split.test.is_empty());
        prop_assert!((split.test.len() as f64 - rows as f64 * fraction).abs() <= 1.0);
        prop_assert!(split.test.is_sorted() && split.train.is_sorted());
        prop_assert_eq!(&Split::by_fraction(rows, fraction, seed).unwrap(), &split);
        prop_assert_eq!(&Split::from_listed(rows, &split.test).unwrap(), &split);
    }
}

#[test]
fn a_seed_keeps_its_split_for_ever() {
    // Saved results name a split by its seed, so these rows must not change.
    assert_eq!(Split::by_fraction(20, 0.25, 1).unwrap().test, [1, 3, 6, 9, 12]);
}

/// A few bytes replaced, inserted or removed.
fn mutate(bytes: &[u8], edits: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (index, kind, byte) in edits {
        let at = index.index(bytes.len() + 1);
        match kind % 3 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.insert(at, *byte),
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    // Bytes that mean something to a reader come more often than others.
    let meaningful = prop::sample::select(b"0159,.\n\r\"'()[]{}e-\x00\xff".to_vec());
    let byte = prop_oneof![any::<u8>(), meaningful];
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), byte), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_give_a_sound_table_or_an_error(edits in edits(), which in 0usize..6) {
        let csv = "a,\"b \"\"c\"\"\",kind\n1,2.5,x\n-3e2,4,\"y\nz\"\n0,1,x\n";
        let images = idx(&[3, 2, 1], &[0, 1, 2, 3, 254, 255]);
        let splits = r#"{"dataset": "a", "test_rows": [[0, 2], [1]]}"#;
        let numpy = npy(&array![[1.0, 2.0], [3.0, 4.0]]);
        let (name, bytes) = [
            ("a.csv", csv.as_bytes().to_vec()),
            ("a.idx", images.clone()),
            ("a.gz", gzip(&images)),
            ("a.npy", numpy.clone()),
            ("a", numpy),
            ("a.json", splits.as_bytes().to_vec()),
        ][which].clone();
        let (_directory, path) = file(name, mutate(&bytes, &edits));
        let (_labels, labels) = file("labels", idx(&[3], &[0, 1, 0]));
        let options = ReadOptions { labels: Some(labels), ..Default::default() };
        if name == "a.json" {
            for rows in read_splits(&path).into_iter().flatten() {
                if let Ok(split) = Split::from_listed(3, &rows) {
                    prop_assert_eq!(split.train.len() + split.test.len(), 3);
                }
            }
        } else if let Ok(table) = Table::read(&path, &options) {
            assert_sound(&table);
        }
    }
}

#[test]
fn a_packed_table_is_the_table() {
    let options = ReadOptions { labels: None, ..Default::default() };
    for (name, text) in
        [("a.csv", "a,b,y\n1,2,3\n4,5,7\n"), ("a.tsv", "a\tb\ty\n1\t2\t3\n4\t5\t7\n")]
    {
        let (_plain, path) = file(name, text);
        let plain = Table::read(&path, &options).unwrap();
        let tabs = name.ends_with("tsv");
        for packed in [format!("{name}.gz"), "a.gz".into(), "a".into()] {
            // Without the name nothing says that tabs separate.
            if tabs && !packed.starts_with(name) {
                continue;
            }
            let (_packed, path) = file(&packed, gzip(text.as_bytes()));
            let found = Table::read(&path, &options).unwrap();
            assert_eq!((found.inputs(), found.targets()), (plain.inputs(), plain.targets()));
            let cut = &gzip(text.as_bytes())[..20];
            let (_cut, path) = file(&packed, cut);
            assert!(Table::read(&path, &options).is_err());
        }
    }
}

#[test]
fn every_prefix_of_an_idx_file_is_an_error() {
    let images = idx(&[3, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let labels = idx(&[3], &[0, 1, 1]);
    for (images, labels) in [(images.clone(), labels.clone()), (gzip(&images), gzip(&labels))] {
        let (_a, image_path) = file("images.idx", &images);
        let (_b, label_path) = file("labels.idx", &labels);
        assert_sound(&read_idx_images(&image_path, &label_path).unwrap());
        let (_c, cut) = file("cut.idx", "");
        let refused = |bytes: &[u8], images: &Path, labels: &Path| {
            std::fs::write(&cut, bytes).unwrap();
            let message = read_idx_images(images, labels).unwrap_err().to_string();
            assert!(message.starts_with(&cut.display().to_string()), "{message}");
        };
        for length in 0..images.len() {
            refused(&images[..length], &cut, &label_path);
        }
        for length in 0..labels.len() {
            refused(&labels[..length], &image_path, &cut);
        }
        refused(&[&images[..], &[0]].concat(), &cut, &label_path);
        refused(&[&labels[..], &[0]].concat(), &image_path, &cut);
    }
}

#[test]
fn images_and_labels_must_belong_together() {
    let (_a, images) = file("images.idx", idx(&[3, 1, 1], &[1, 2, 3]));
    for (labels, part) in [
        (idx(&[2], &[0, 1]), "2 labels"),
        (idx(&[3], &[4, 4, 4]), "the label 4 in all 3 rows"),
        (idx(&[3, 1], &[0, 1, 2]), "2 dimensions"),
    ] {
        let (_b, labels) = file("labels.idx", labels);
        let message = read_idx_images(&images, &labels).unwrap_err().to_string();
        assert!(message.starts_with(&labels.display().to_string()), "{message}");
        assert!(message.contains(part), "{message}");
    }
    let (_b, labels) = file("labels.idx", idx(&[3], &[0, 1, 2]));
    let message = read_idx_images(&labels, &labels).unwrap_err().to_string();
    assert!(message.contains("one dimension"), "{message}");
    let message = Table::read(&images, &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("--labels"), "{message}");
}

#[test]
fn a_small_file_that_claims_much_is_refused() {
    let refused = |bytes: Vec<u8>, name| {
        let (_directory, path) = file(name, bytes);
        let (_labels, labels) = file("labels.idx", idx(&[2], &[0, 1]));
        let options = ReadOptions { labels: Some(labels), ..Default::default() };
        assert!(Table::read(&path, &options).is_err());
    };
    refused(idx(&[1 << 20, 1 << 20], &[0; 80]), "a.idx");
    refused(idx(&[u32::MAX; 255], &[]), "a.idx");
    refused(gzip(&idx(&[1 << 20, 1 << 20], &[0; 80])), "a.gz");
    let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (1099511627776, 3), }\n";
    let start = b"\x93NUMPY\x02\x00";
    refused(
        [&start[..], &(header.len() as u32).to_le_bytes(), header.as_bytes()].concat(),
        "a.npy",
    );
    refused([&start[..], &u32::MAX.to_le_bytes(), header.as_bytes()].concat(), "a.npy");
}

/// The files were written by `tests/data/write-npy.py`.
#[test]
fn npy_files_are_read_as_numpy_wrote_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/numpy");
    let check = |name: &str, expected: Array2<f64>| {
        assert_eq!(read_npy(&folder.join(format!("{name}.npy"))).unwrap(), expected, "{name}");
        assert_eq!(read_npy(&folder.join(format!("{name}.f.npy"))).unwrap(), expected, "{name}");
    };
    check("f8", array![[1.5, -2.0, 1e300], [0.1, 5e-324, 6.0]]);
    check("f4", array![[1.5f32, -2.0], [0.1, 6.0], [7.0, 8.0]].mapv(f64::from));
    check("i1", array![[-3.0, 4.0], [127.0, -128.0]]);
    check("i2", array![[-3.0, 4.0], [127.0, f64::from(i16::MIN)]]);
    check("i4", array![[-3.0, 4.0], [127.0, f64::from(i32::MIN)]]);
    check("i8", array![[-3.0, 4.0], [127.0, i64::MIN as f64]]);
    check("u1", array![[3.0, 255.0]]);
    check("u2", array![[3.0], [65535.0]]);
    check("u4", array![[3.0], [f64::from(u32::MAX)]]);
    check("u8", array![[3.0], [(1u64 << 63) as f64]]);
    check("bool", array![[1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(read_npy(&folder.join("one.npy")).unwrap(), array![[1.0], [2.0], [3.0]]);
}

#[test]
fn every_prefix_of_an_npy_file_is_an_error() {
    let bytes = npy(&array![[1.0, 2.0], [3.0, 4.0]]);
    let (_directory, path) = file("a.npy", "");
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let message = read_npy(&path).unwrap_err().to_string();
        assert!(message.starts_with(&path.display().to_string()), "{message}");
    }
    std::fs::write(&path, [&bytes[..], &[0; 8]].concat()).unwrap();
    assert!(read_npy(&path).is_err());
}

#[test]
fn npy_columns_are_chosen_by_number() {
    let (_directory, path) = file("a.npy", npy(&array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
    let table = Table::read(&path, &ReadOptions::default()).unwrap();
    assert_eq!(table.input_names(), ["x1", "x2"]);
    assert_eq!(table.target_names(), ["x3"]);
    let table = Table::read(&path, &ReadOptions::targets(["1", "x3"])).unwrap();
    assert_eq!(table.inputs(), array![[2.0], [5.0]]);
    assert_eq!(table.targets(), array![[1.0, 3.0], [4.0, 6.0]]);
    let message = Table::read(&path, &ReadOptions::targets(["4"])).unwrap_err().to_string();
    assert!(message.contains("\"4\"") && message.contains("\"x3\""), "{message}");
    std::fs::write(&path, npy(&array![[1.0, 2.0], [4.0, 2.0]])).unwrap();
    let message = Table::read(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("\"x2\"") && message.contains("2 in all 2 rows"), "{message}");
}

#[test]
fn evaluation_reads_the_columns_it_needs_and_no_others() {
    // Columns that are not asked for may be nameless, repeated or text.
    let (_directory, path) = file("e.csv", ",t,b,a,kind,t\n0,foo,1,2,y,\n1,bar,3,4,x,?\n");
    let plain = ReadOptions::default();
    let names = ["a".to_string(), "b".to_string()];
    assert_eq!(read_inputs(&path, &names, &plain).unwrap(), array![[2.0, 1.0], [4.0, 3.0]]);
    let message = read_inputs(&path, &["c".into()], &plain).unwrap_err().to_string();
    assert!(message.contains("no column named \"c\""), "{message}");
    assert_eq!(read_targets(&path, &["b".into()], &plain).unwrap(), Some(array![[1.0], [3.0]]));
    assert_eq!(read_targets(&path, &["c".into()], &plain).unwrap(), None);
    let classes = ["w".to_string(), "x".into(), "y".into()];
    let kind = ReadOptions::targets(["kind"]);
    let one_hot = array![[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]];
    assert_eq!(read_targets(&path, &classes, &kind).unwrap(), Some(one_hot));
    let message = read_targets(&path, &classes[..2], &kind).unwrap_err().to_string();
    assert!(message.contains("line 2") && message.contains("\"y\""), "{message}");
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let names = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    let new = |inputs: Array2<f64>, targets: Array2<f64>, input_names: &[&str]| {
        Table::new(inputs, targets, names(input_names), names(&["y"]), "test")
    };
    assert_sound(&new(array![[1.0]], array![[2.0]], &["a"]).unwrap());
    for (result, part) in [
        (new(array![[1.0], [2.0]], array![[2.0]], &["a"]), "1 rows of targets"),
        (new(array![[1.0, 2.0]], array![[2.0]], &["a"]), "1 input names"),
        (new(array![[1.0, 2.0]], array![[2.0]], &["a", "a"]), "\"a\" twice"),
        (new(array![[f64::NAN]], array![[2.0]], &["a"]), "row 0, column \"a\""),
        (new(Array2::zeros((0, 1)), Array2::zeros((0, 1)), &["a"]), "no rows"),
        (new(Array2::zeros((1, 0)), Array2::zeros((1, 1)), &[]), "no input columns"),
        (
            Table::with_classes(array![[1.0]], &[2], names(&["a"]), names(&["x", "y"]), "test"),
            "label 2",
        ),
    ] {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_example_tables_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    let iris = Table::read(&folder.join("iris.csv"), &ReadOptions::default()).unwrap();
    assert_eq!(iris.classes().unwrap(), ["setosa", "versicolor", "virginica"]);
    assert_eq!(iris.targets().sum_axis(Axis(0)).to_vec(), [50.0; 3]);
    let cars = Table::read(&folder.join("autompg.csv"), &ReadOptions::targets(["mpg"])).unwrap();
    assert_eq!((cars.rows(), cars.inputs().ncols()), (392, 7));
    assert_eq!(cars.targets(), problems::auto_mpg().targets());
}

#[test]
fn the_public_regression_tables_and_their_splits_are_read() {
    let Some(folder) = shared_data() else { return };
    for (name, rows, columns) in
        [("boston", 506, 13), ("concrete", 1030, 8), ("energy", 768, 8), ("yacht", 308, 6)]
    {
        let path = folder.join(format!("uci/{name}.csv"));
        let table = Table::read(&path, &ReadOptions::default()).unwrap();
        assert_eq!(table.inputs().dim(), (rows, columns), "{name}");
        let splits = folder.join(format!("uci/{name}.splits.json"));
        assert_eq!(read_splits(&splits).unwrap().len(), 20);
        for k in 0..20 {
            let split = Split::read(&format!("{}:{k}", splits.display()), rows).unwrap();
            assert_eq!(split.train.len() + split.test.len(), rows);
            let names = table.input_names();
            let map = Standardisation::of(table.inputs(), &split.train, names).unwrap();
            let train = map.apply(table.select(&split.train).inputs());
            for (column, mean) in train.mean_axis(Axis(0)).unwrap().into_iter().enumerate() {
                // The mean of the map is off by at most rows roundings of the largest value.
                let largest = table.inputs().column(column).fold(0.0, |m: f64, x| m.max(x.abs()));
                let slack = largest * map.reciprocal_deviation()[column] + rows as f64;
                assert!(mean.abs() <= 4.0 * rows as f64 * f64::EPSILON * slack, "{name} {mean:e}");
            }
        }
        let splits = splits.display().to_string();
        let several = Split::read(&splits, rows).unwrap_err().to_string();
        assert!(several.contains("20 splits") && several.contains(":19"), "{several}");
        assert!(Split::read(&format!("{splits}:20"), rows).is_err());
        let small = Split::read(&format!("{splits}:3"), 10).unwrap_err().to_string();
        assert!(small.contains("test_rows[3]: test row ["), "{small}");
    }
}

#[test]
fn the_public_digits_are_read() {
    let Some(folder) = shared_data() else { return };
    let path = |name: &str| folder.join("mnist").join(name);
    let images = path("t10k-images-idx3-ubyte.gz");
    let digits = read_idx_images(&images, &path("t10k-labels-idx1-ubyte.gz")).unwrap();
    assert_eq!((digits.inputs().dim(), digits.targets().dim()), ((10_000, 784), (10_000, 10)));
    let counts = digits.targets().sum_axis(Axis(0));
    // The published counts of the digits 0 to 9 among the test images.
    assert_eq!(counts.to_vec(), [980., 1135., 1032., 1010., 982., 892., 958., 1028., 974., 1009.]);
    assert_eq!(digits.targets()[[0, 7]], 1.0);
}
