//! Shapes of values that depend on the input: which dimension counts rows, and which moves of
//! the data leave the values of a row in their order.
//!
//! A value is a vector for each row of a table. Its shape has at most one dimension of rows, and
//! the other dimensions, the last one fastest, number the entries of the vector. A shape, or the
//! reason why there is none, is text here; the caller adds the place.

use super::tensor::MOST_DIMENSIONS;

/// One dimension of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dim {
    /// The rows of the table, and how many where the file fixes that.
    Rows(Option<usize>),
    /// So many entries of a row.
    Of(usize),
}

/// One number of a shape that a graph computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// The number of rows.
    Rows(Option<usize>),
    /// Any other number.
    Known(i64),
}

/// What was found and what was expected.
pub(super) type Refusal = (String, String);

fn refuse<T>(found: impl Into<String>, expected: impl Into<String>) -> Result<T, Refusal> {
    Err((found.into(), expected.into()))
}

/// The entries of a row; the shapes of values are checked to have a number of them.
pub(super) fn entries(shape: &[Dim]) -> usize {
    shape.iter().fold(1, |n, dim| if let Dim::Of(k) = dim { n.saturating_mul(*k) } else { n })
}

pub(super) fn has_rows(shape: &[Dim]) -> bool {
    shape.iter().any(|dim| matches!(dim, Dim::Rows(_)))
}

/// As in `(rows, 3, 1)`.
pub(super) fn show(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape
        .iter()
        .map(|dim| match dim {
            Dim::Rows(_) => "rows".into(),
            Dim::Of(n) => n.to_string(),
        })
        .collect();
    format!("the shape ({})", dims.join(", "))
}

/// The axis that `axis` means among `rank`, negative ones counted from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_start = if axis < 0 { axis.saturating_add(signed) } else { axis };
    match usize::try_from(from_start) {
        Ok(a) if a < rank => Ok(a),
        _ => refuse(format!("the axis {axis}"), format!("an axis of {rank} dimensions")),
    }
}

/// Whether only dimensions of length 1 come before the rows: else a reshape would mix rows.
fn rows_lead(shape: &[Dim]) -> bool {
    let before = shape.iter().take_while(|dim| matches!(dim, Dim::Of(_)));
    !has_rows(shape) || before.into_iter().all(|dim| *dim == Dim::Of(1))
}

/// The shape after a Reshape to `target`.
pub(super) fn reshape(
    shape: &[Dim],
    target: &[Size],
    zero_is_a_length: bool,
) -> Result<Vec<Dim>, Refusal> {
    let mismatch = || {
        let target: Vec<String> = target
            .iter()
            .map(|size| match size {
                Size::Rows(_) => "rows".into(),
                Size::Known(k) => k.to_string(),
            })
            .collect();
        refuse(
            format!("{} laid out as ({})", show(shape), target.join(", ")),
            "a shape that keeps the values of a row together and in their order",
        )
    };
    if target.len() > MOST_DIMENSIONS {
        return refuse(
            format!("{} dimensions", target.len()),
            format!("at most {MOST_DIMENSIONS}"),
        );
    }
    // None stands for -1, the length that is left.
    let mut new: Vec<Option<Dim>> = Vec::with_capacity(target.len());
    for (i, size) in target.iter().enumerate() {
        new.push(match *size {
            Size::Rows(n) => Some(Dim::Rows(n)),
            Size::Known(-1) => None,
            Size::Known(0) if !zero_is_a_length => match shape.get(i) {
                Some(dim) => Some(*dim),
                None => return mismatch(),
            },
            Size::Known(k) => match usize::try_from(k) {
                Ok(k) if k > 0 => Some(Dim::Of(k)),
                _ => return mismatch(),
            },
        });
    }
    let is_rows = |dim: &Option<Dim>| matches!(dim, Some(Dim::Rows(_)));
    let product = |new: &[Option<Dim>]| {
        new.iter().try_fold(1_usize, |n, dim| match dim {
            Some(Dim::Of(k)) => n.checked_mul(*k),
            _ => Some(n),
        })
    };
    let all = entries(shape);
    let rows = shape.iter().find_map(|dim| if let Dim::Rows(n) = dim { Some(*n) } else { None });
    if let (Some(rows), false) = (rows, new.iter().any(is_rows)) {
        // The rows are the first length that is not 1, where that is their number, or the one
        // that is left.
        let first = new.iter().position(|dim| *dim != Some(Dim::Of(1)));
        let numbered = first.filter(|&p| rows.is_some_and(|n| new[p] == Some(Dim::Of(n))));
        let left = new.iter().position(Option::is_none).filter(|_| product(&new) == Some(all));
        match numbered.or(left) {
            Some(p) => new[p] = Some(Dim::Rows(rows)),
            None => return mismatch(),
        }
    }
    let known = product(&new);
    let mut out = Vec::with_capacity(new.len());
    let mut filled = false;
    for dim in &new {
        out.push(match (dim, known) {
            (Some(dim), _) => *dim,
            (None, Some(known)) if !filled && known > 0 && all.is_multiple_of(known) => {
                filled = true;
                Dim::Of(all / known)
            }
            _ => return mismatch(),
        });
    }
    let row_dims = out.iter().filter(|dim| matches!(dim, Dim::Rows(_))).count();
    let kept = row_dims == usize::from(rows.is_some())
        && entries(&out) == all
        && rows_lead(shape)
        && rows_lead(&out);
    if kept { Ok(out) } else { mismatch() }
}

/// The shape after a Flatten at `at`.
pub(super) fn flatten(shape: &[Dim], at: i64) -> Result<Vec<Dim>, Refusal> {
    let signed = i64::try_from(shape.len()).unwrap_or(i64::MAX);
    let place = if at < 0 { at.saturating_add(signed) } else { at };
    let Some((before, after)) =
        usize::try_from(place).ok().and_then(|place| shape.split_at_checked(place))
    else {
        return refuse(format!("the axis {at}"), format!("an axis of {} dimensions", shape.len()));
    };
    let side = |dims: &[Dim]| {
        let rows = dims.iter().find(|dim| matches!(dim, Dim::Rows(_)));
        match (rows, entries(dims)) {
            (None, n) => Some(Dim::Of(n)),
            (Some(rows), 1) => Some(*rows),
            (Some(_), _) => None,
        }
    };
    match (side(before), side(after)) {
        (Some(a), Some(b)) if rows_lead(&[a, b]) && rows_lead(shape) => Ok(vec![a, b]),
        _ => refuse(
            format!("{} flattened at the axis {at}", show(shape)),
            "a shape that keeps the values of a row together and in their order",
        ),
    }
}

/// The shape after a Squeeze of `axes`, or of every length 1.
pub(super) fn squeeze(shape: &[Dim], axes: Option<&[i64]>) -> Result<Vec<Dim>, Refusal> {
    let mut gone = vec![false; shape.len()];
    match axes {
        None => {
            for (gone, dim) in gone.iter_mut().zip(shape) {
                *gone = *dim == Dim::Of(1);
            }
        }
        Some(axes) => {
            for &a in axes {
                let a = axis(a, shape.len())?;
                if !matches!(shape[a], Dim::Of(1) | Dim::Rows(Some(1))) {
                    return refuse(
                        format!("the axis {a} of {}", show(shape)),
                        "an axis of length 1",
                    );
                }
                gone[a] = true;
            }
        }
    }
    Ok(shape.iter().zip(gone).filter(|(_, gone)| !gone).map(|(dim, _)| *dim).collect())
}

/// The shape after an Unsqueeze: `axes` are those of the result.
pub(super) fn unsqueeze<T: Copy>(shape: &[T], axes: &[i64], one: T) -> Result<Vec<T>, Refusal> {
    let rank = shape.len().saturating_add(axes.len());
    if rank > MOST_DIMENSIONS {
        return refuse(format!("{rank} dimensions"), format!("at most {MOST_DIMENSIONS}"));
    }
    let mut new = vec![false; rank];
    for &a in axes {
        let a = axis(a, rank)?;
        if std::mem::replace(&mut new[a], true) {
            return refuse(format!("the axis {a} twice"), "distinct axes");
        }
    }
    let mut old = shape.iter();
    Ok(new.iter().map(|new| if *new { one } else { *old.next().unwrap_or(&one) }).collect())
}

/// The order of axes that `perm` gives, the reverse one by default.
pub(super) fn permutation(perm: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
    if perm.is_empty() {
        return Ok((0..rank).rev().collect());
    }
    let mut seen = vec![false; rank];
    let mut order = Vec::with_capacity(rank);
    for &a in perm {
        let a = axis(a, rank)?;
        if std::mem::replace(&mut seen[a], true) {
            return refuse(format!("the axis {a} twice"), "distinct axes");
        }
        order.push(a);
    }
    if order.len() != rank {
        return refuse(format!("{} axes", order.len()), format!("{rank}"));
    }
    Ok(order)
}

/// The shape after a Transpose that keeps the values of a row in their order.
pub(super) fn transpose(shape: &[Dim], perm: &[i64]) -> Result<Vec<Dim>, Refusal> {
    let order = permutation(perm, shape.len())?;
    let long: Vec<usize> =
        order.iter().copied().filter(|a| !matches!(shape[*a], Dim::Of(1) | Dim::Rows(_))).collect();
    if !long.is_sorted() {
        return refuse(
            format!("{} with its axes in the order {order:?}", show(shape)),
            "an order of axes that keeps the values of a row in their order",
        );
    }
    Ok(order.into_iter().map(|a| shape[a]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Dim = Dim::Rows(None);

    fn known(target: &[i64]) -> Vec<Size> {
        target.iter().map(|k| Size::Known(*k)).collect()
    }

    #[test]
    fn a_reshape_keeps_rows_apart() {
        let of = Dim::Of;
        for (shape, target, expected) in [
            (vec![ROWS, of(2), of(3)], known(&[-1, 6]), vec![ROWS, of(6)]),
            (vec![ROWS, of(2), of(3)], known(&[0, -1]), vec![ROWS, of(6)]),
            (vec![ROWS, of(6)], known(&[0, 3, 2]), vec![ROWS, of(3), of(2)]),
            (vec![ROWS, of(1)], known(&[-1]), vec![ROWS]),
            (vec![ROWS], known(&[-1, 1]), vec![ROWS, of(1)]),
            (vec![of(1), of(6)], known(&[2, -1]), vec![of(2), of(3)]),
            (vec![Dim::Rows(Some(2)), of(6)], known(&[2, -1]), vec![Dim::Rows(Some(2)), of(6)]),
            (vec![Dim::Rows(Some(2)), of(2)], known(&[2, -1]), vec![Dim::Rows(Some(2)), of(2)]),
            (vec![ROWS, of(2), of(2)], vec![Size::Rows(None), Size::Known(-1)], vec![ROWS, of(4)]),
        ] {
            assert_eq!(reshape(&shape, &target, false), Ok(expected), "{shape:?} {target:?}");
        }
        for (shape, target) in [
            (vec![ROWS, of(2)], vec![-1, 1]),
            (vec![ROWS, of(2)], vec![-1]),
            (vec![ROWS, of(4)], vec![2, -1]),
            (vec![ROWS, of(4)], vec![-1, -1]),
            (vec![ROWS, of(4)], vec![4, -1]),
            (vec![of(4), ROWS], vec![-1, 4]),
            (vec![of(4)], vec![3]),
            (vec![of(4)], vec![-1, 3]),
            (vec![of(4)], vec![0, 0]),
            (vec![of(4)], vec![-2, -2]),
            (vec![of(4)], vec![i64::MAX, i64::MAX]),
        ] {
            assert!(reshape(&shape, &known(&target), false).is_err(), "{shape:?} {target:?}");
        }
        assert!(reshape(&[of(4)], &known(&[0, 4]), true).is_err());
    }

    #[test]
    fn other_moves_keep_the_order_of_a_row() {
        let of = Dim::Of;
        assert_eq!(flatten(&[ROWS, of(2), of(3)], 1), Ok(vec![ROWS, of(6)]));
        assert_eq!(flatten(&[ROWS, of(2), of(3)], -2), Ok(vec![ROWS, of(6)]));
        assert!(flatten(&[ROWS, of(2), of(3)], 2).is_err());
        assert!(flatten(&[ROWS, of(2)], 0).is_err());
        assert!(flatten(&[ROWS, of(2)], 3).is_err());
        assert_eq!(flatten(&[of(2), of(3)], 0), Ok(vec![of(1), of(6)]));
        let image = [ROWS, of(28), of(28), of(1)];
        assert_eq!(transpose(&image, &[0, 3, 1, 2]), Ok(vec![ROWS, of(1), of(28), of(28)]));
        assert!(transpose(&image, &[0, 2, 1, 3]).is_err());
        assert!(transpose(&image, &[0, 1, 2]).is_err());
        assert!(transpose(&image, &[0, 1, 2, 2]).is_err());
        assert_eq!(transpose(&[ROWS, of(3)], &[]), Ok(vec![of(3), ROWS]));
        assert_eq!(squeeze(&[ROWS, of(1), of(3)], None), Ok(vec![ROWS, of(3)]));
        assert_eq!(squeeze(&[ROWS, of(1)], Some(&[-1])), Ok(vec![ROWS]));
        assert!(squeeze(&[ROWS, of(3)], Some(&[1])).is_err());
        assert!(squeeze(&[ROWS, of(3)], Some(&[i64::MIN])).is_err());
        assert_eq!(unsqueeze(&[ROWS], &[1, -1], of(1)), Ok(vec![ROWS, of(1), of(1)]));
        assert!(unsqueeze(&[ROWS], &[1, 1], of(1)).is_err());
        assert!(unsqueeze(&[ROWS], &vec![0; 40], of(1)).is_err());
    }
}
