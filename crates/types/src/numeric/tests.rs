//! Against PostgreSQL 15 (a table of its answers) and against a model of big rationals.

use super::*;
use proptest::prelude::*;

fn apply(operation: &str, a: &str, b: &str) -> PgResult<String> {
    let left = if operation == "fact" { Numeric::ZERO } else { Numeric::parse(a)? };
    let right = || Numeric::parse(b);
    let integer = || b.parse::<i32>().expect("an integer argument");
    let optional = |value: Option<i32>| value.map_or("NULL".to_owned(), |value| value.to_string());
    let value = match operation {
        "add" => left.add(&right()?)?,
        "sub" => left.sub(&right()?)?,
        "mul" => left.mul(&right()?)?,
        "div" => left.div(&right()?)?,
        "rem" => left.rem(&right()?)?,
        "divt" => left.div_truncated(&right()?)?,
        "cmp" => return Ok((left.compare(&right()?) as i32).to_string()),
        "round" => left.round(integer())?,
        "trunc" => left.truncate(integer())?,
        "ceil" => left.ceil()?,
        "floor" => left.floor()?,
        "sqrt" => left.sqrt()?,
        "exp" => left.exp()?,
        "ln" => left.ln()?,
        "log" => right()?.log(&left)?,
        "log10" => left.log10()?,
        "power" | "powint" => left.power(&right()?)?,
        "gcd" => left.gcd(&right()?)?,
        "lcm" => left.lcm(&right()?)?,
        "fact" => Numeric::factorial(i64::from(integer()))?,
        "sign" => left.sign(),
        "trim" => left.trim_scale(),
        "minscale" => return Ok(optional(left.min_scale())),
        "typmod" => left.apply_typmod(integer())?,
        "int2" => return left.to_i16().map(|value| value.to_string()),
        "int4" => return left.to_i32().map(|value| value.to_string()),
        "int8" => return left.to_i64().map(|value| value.to_string()),
        "float8" => return left.to_f64().map(|value| format!("{:e}", value)),
        "wb" => {
            return left.width_bucket(&Numeric::parse("-10.5")?, &right()?, 7).map(|value| value.to_string());
        }
        other => panic!("no operation {other}"),
    };
    Ok(value.to_string())
}

/// PostgreSQL's answers: operation, operands, result (`!` and SQLSTATE and message for an error).
#[test]
fn agrees_with_postgresql() {
    let more = std::env::var("TYPES_NUMERIC_CASES")
        .map(|path| std::fs::read_to_string(path).expect("a table of cases"));
    let table = more.unwrap_or_else(|_| include_str!("../../testdata/numeric.tsv").to_owned());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in table.lines() {
        let [operation, a, b, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("bad line {line}")
        };
        let got = match apply(operation, a, b) {
            Ok(text) => text,
            Err(error) => format!("!{} {}", error.code(), error.message()),
        };
        count += 1;
        let same_float = operation == "float8"
            && got.parse::<f64>().ok().map(f64::to_bits) == expected.parse::<f64>().ok().map(f64::to_bits)
            && got.parse::<f64>().is_ok();
        if got != expected && !same_float {
            wrong.push(format!("{line}\n      got: {got}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

/// A finite numeric as an exact fraction coefficient / 10^scale.
fn fraction(value: &Numeric) -> (IBig, usize) {
    let (coefficient, scale) = value.big_parts().expect("finite");
    (coefficient.into_owned(), usize::from(scale))
}

fn equal_fractions(a: (IBig, usize), b: (IBig, usize)) -> bool {
    a.0 * IBig::from(big_power_of_ten(b.1)) == b.0 * IBig::from(big_power_of_ten(a.1))
}

fn any_numeric() -> impl Strategy<Value = Numeric> {
    let coefficient = prop_oneof![
        (-1000i128..1000),
        any::<i64>().prop_map(i128::from),
        any::<i128>(),
        Just(i128::MAX),
        Just(i128::MIN),
    ];
    (coefficient, 0u16..60, 0usize..30).prop_map(|(coefficient, scale, zeros)| {
        Numeric::from_big(IBig::from(coefficient) * IBig::from(big_power_of_ten(zeros)), scale)
            .expect("in range")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_products_are_exact(a in any_numeric(), b in any_numeric()) {
        let ((ca, sa), (cb, sb)) = (fraction(&a), fraction(&b));
        let scale = sa.max(sb);
        let (ea, eb) = (IBig::from(big_power_of_ten(scale - sa)) * &ca, IBig::from(big_power_of_ten(scale - sb)) * &cb);
        let sum = a.add(&b).unwrap();
        prop_assert_eq!(usize::from(sum.scale()), scale);
        prop_assert!(equal_fractions(fraction(&sum), (&ea + &eb, scale)));
        let difference = a.sub(&b).unwrap();
        prop_assert!(equal_fractions(fraction(&difference), (&ea - &eb, scale)));
        let product = a.mul(&b).unwrap();
        prop_assert!(equal_fractions(fraction(&product), (ca * cb, sa + sb)));
        prop_assert_eq!(a.compare(&b), ea.cmp(&eb));
        if !b.is_zero() {
            let rest = a.rem(&b).unwrap();
            prop_assert!(equal_fractions(fraction(&rest), (&ea % &eb, scale)));
        }
    }

    #[test]
    fn a_quotient_is_off_by_half_a_unit_at_most(a in any_numeric(), b in any_numeric()) {
        prop_assume!(!b.is_zero());
        let quotient = a.div(&b).unwrap();
        // |a - quotient * b| <= |b| / 2 in units of the quotient's last place
        let error = a.sub(&quotient.mul(&b).unwrap()).unwrap().abs();
        let half_unit = b.abs().mul(&Numeric::from_i128(5, quotient.scale() + 1)).unwrap();
        prop_assert!(error.compare(&half_unit).is_le(), "{} / {} = {}", a, b, quotient);
    }

    #[test]
    fn text_and_binary_read_back(a in any_numeric()) {
        prop_assert_eq!(&Numeric::parse(&a.to_string()).unwrap(), &a);
        let mut bytes = Vec::new();
        a.write_binary(&mut bytes);
        prop_assert_eq!(&Numeric::from_binary(&bytes).unwrap(), &a);
    }

    #[test]
    fn small_and_big_forms_never_mix(a in any_numeric(), b in any_numeric()) {
        for value in [a.add(&b).unwrap(), a.sub(&b).unwrap(), a.mul(&b).unwrap(), a.neg(), a.trim_scale()] {
            if let Numeric::Big(big) = &value {
                prop_assert!(i128::try_from(&big.coefficient).is_err());
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+ 0-9.eEnaifty]{0,20}") {
        if let Ok(value) = Numeric::parse(&text) {
            prop_assert_eq!(Numeric::parse(&value.to_string()).unwrap(), value);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = Numeric::from_binary(&bytes);
    }
}

fn hash(value: &Numeric) -> u64 {
    use std::hash::Hasher;
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash_value(&mut hasher);
    hasher.finish()
}

#[test]
fn equal_values_hash_equal() {
    for (a, b) in [("1.0", "1.00"), ("0", "0.000"), ("-5", "-5.0"), ("1e60", "1e60"), ("100", "100.00")] {
        let (a, b) = (Numeric::parse(a).unwrap(), Numeric::parse(b).unwrap());
        assert!(a.compare(&b).is_eq());
        assert_eq!(hash(&a), hash(&b));
    }
    let long = Numeric::parse(&format!("1.5{}", "0".repeat(100))).unwrap();
    assert_eq!(hash(&long), hash(&Numeric::parse("1.5").unwrap()));
}

#[test]
fn limits_are_postgresql_s() {
    let message = |text: &str| {
        Numeric::parse(text).map(|value| value.to_string().len()).map_err(|e| e.message().to_owned())
    };
    assert_eq!(message("1e131071"), Ok(131_072));
    assert_eq!(message("1e131072"), Err("value overflows numeric format".into()));
    assert_eq!(message("1e-16383"), Ok(16_385));
    assert_eq!(message("1e-16384"), Err("value overflows numeric format".into()));
    assert_eq!(message("1e1000000000000000000000"), Err("value overflows numeric format".into()));
    assert_eq!(message(" 1e "), Err("invalid input syntax for type numeric: \" 1e \"".into()));
    assert_eq!(message("1.2.3"), Err("invalid input syntax for type numeric: \"1.2.3\"".into()));
    assert_eq!(message(""), Err("invalid input syntax for type numeric: \"\"".into()));
    assert_eq!(Numeric::parse(" -inf\n"), Ok(Numeric::NegativeInfinity));
    assert_eq!(Numeric::parse_with_typmod("1e-20000", (5 << 16 | 2) + 4).unwrap().to_string(), "0.00");
    let largest = Numeric::parse("1e131071").unwrap();
    assert!(largest.mul(&Numeric::from_i64(10)).is_err());
    assert!(Numeric::factorial(32_178).is_err());
}

/// Bytes as PostgreSQL 15's numeric_send gives them.
#[test]
fn binary_format_is_frozen() {
    for (text, expected) in [
        ("0", "0000000000000000"),
        ("0.00", "0000000000000002"),
        ("1", "00010000000000000001"),
        ("-12345.678", "00030001400000030001092911a8".replace("092911a8", "09291a7c").as_str()),
        ("0.0001", "0001ffff000000040001"),
        ("10000", "00010001000000000001"),
        ("NaN", "00000000c0000000"),
    ] {
        let mut bytes = Vec::new();
        Numeric::parse(text).unwrap().write_binary(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{text}");
        assert_eq!(Numeric::from_binary(&bytes).unwrap().to_string(), text);
    }
}
