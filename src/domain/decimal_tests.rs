use proptest::prelude::*;

use super::*;

fn shortest(text: &str) -> Option<String> {
    Decimal::parse(text).map(|number| number.to_string())
}

#[test]
fn numbers_have_one_shortest_text_however_they_are_written() {
    let long = "1234567890".repeat(6) + "1234";
    for (texts, expected) in [
        (
            &["1", "1.0", "1e0", "10e-1", "1.000", "100E-2", "0.1e+1"][..],
            "1",
        ),
        (
            &["0", "-0", "0.0", "0e5", "-0.00e-7", "0e999999999999"],
            "0",
        ),
        (&["1.10", "1.1", "11e-1", "0.11e1"], "1.1"),
        (&["1e2", "100", "100.0", "1E+2"], "100"),
        (&["-1.5", "-15e-1"], "-1.5"),
        (&["0.5", "0.50", "5e-1"], "0.5"),
        (&["0.001", "1e-3", "0.0010"], "0.001"),
        (&["120", "12e1", "1.2e2"], "120"),
        (
            &["18446744073709551617", "18446744073709551617.0"],
            "18446744073709551617",
        ),
        (&[&long, &(long.clone() + ".000")], &long),
    ] {
        for text in texts {
            assert_eq!(shortest(text).as_deref(), Some(expected), "{text}");
        }
    }
}

#[test]
fn what_is_too_long_too_large_or_no_number_is_none() {
    let digits = |count: usize| "1".repeat(count);
    let zeros = |count: usize| "0".repeat(count);
    for text in [
        &digits(64),
        &format!("{}{}", digits(64), zeros(200)),
        &format!("0.{}{}", zeros(200), digits(64)),
        "9.99e307",
        "1e307",
        &format!("0.{}1e400", zeros(100)),
        &format!("1{}e-400", zeros(500)),
        "1e-1000",
    ] {
        assert!(Decimal::parse(text).is_some(), "{text}");
    }
    for text in [
        &digits(65),
        &format!("{}.5", digits(64)),
        &format!("1{}1", zeros(63)),
        "1e308",
        "1e400",
        "-1e400",
        "1e-1001",
        "1e999999999999999999999999",
        "1e-999999999999999999999999",
        "",
        "-",
        "+1",
        ".5",
        "5.",
        "1e",
        "1e+",
        "1 ",
        "0x1",
        "NaN",
        "1,5",
        "\u{661}",
        "\"1\"",
    ] {
        assert_eq!(Decimal::parse(text), None, "{text}");
    }
}

#[test]
fn whole_numbers_and_rounding_up() {
    for (text, whole, hundredths) in [
        ("0", Some(0), Some(0)),
        ("500.0", Some(500), Some(50_000)),
        ("5e2", Some(500), Some(50_000)),
        ("-3", Some(-3), Some(-300)),
        ("0.5", None, Some(50)),
        ("12.34", None, Some(1234)),
        ("0.001", None, Some(1)),
        ("1e-1000", None, Some(1)),
        ("99.991", None, Some(10_000)),
        ("1e37", Some(10i128.pow(37)), None),
        ("1e300", None, None),
    ] {
        let number = Decimal::parse(text).unwrap();
        assert_eq!(number.to_whole(), whole, "{text}");
        assert_eq!(number.ceil_times(2), hundredths, "{text}");
    }
}

/// A number as a whole one and a power of ten below one, both as wide as the test needs.
fn model(text: &str) -> Vec<u8> {
    // Places after the point that every number of the test has, so that texts can be compared.
    const PLACES: i64 = 60;
    let (sign, text) = text
        .strip_prefix('-')
        .map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().unwrap();
    let zeros = PLACES - i64::try_from(fraction.len()).unwrap() + exponent;
    let zeros = "0".repeat(usize::try_from(zeros).unwrap());
    let scaled = format!("{whole}{fraction}{zeros}");
    let scaled = scaled.trim_start_matches('0');
    if scaled.is_empty() {
        return b"0".to_vec();
    }
    format!("{sign}{scaled}").into_bytes()
}

prop_compose! {
    fn number()(
        sign in "-?",
        whole in "0|[1-9][0-9]{0,20}",
        fraction in "(\\.[0-9]{1,20})?",
        exponent in "([eE][+-]?[0-9]|[eE][+-]?[1-3][0-9])?",
    ) -> String {
        format!("{sign}{whole}{fraction}{exponent}")
    }
}

/// The same number, written otherwise.
fn otherwise(text: &str, shift: i64) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().unwrap();
    let exponent = exponent - i64::try_from(fraction.len()).unwrap() - shift;
    let zeros = "0".repeat(usize::try_from(shift).unwrap());
    format!("{sign}{whole}{fraction}{zeros}E{exponent}")
}

proptest! {
    #[test]
    fn equality_is_that_of_exact_numbers(a in number(), b in number(), shift in 0i64..20) {
        let (x, y) = (Decimal::parse(&a).unwrap(), Decimal::parse(&b).unwrap());
        prop_assert_eq!(x == y, model(&a) == model(&b));
        prop_assert_eq!(x.to_string() == y.to_string(), x == y);
        prop_assert_eq!(Decimal::parse(&otherwise(&a, shift)), Some(x));
    }

    #[test]
    fn the_shortest_text_is_the_same_number_without_an_exponent(a in number()) {
        let text = shortest(&a).unwrap();
        prop_assert_eq!(model(&text), model(&a));
        prop_assert!(!text.contains(['e', 'E']));
        let padded = text.contains('.') && text.ends_with('0')
            || text.trim_start_matches('-').starts_with("00")
            || text == "-0";
        prop_assert!(!padded, "{}", text);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "[-+0-9.eE]{0,40}") {
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        if let Some(number) = Decimal::parse(&text) {
            // Only zeros at the front are more than JSON allows.
            let plain = shortest(&number.to_string());
            prop_assert_eq!(plain, Some(number.to_string()));
        } else if is_json {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            prop_assert!(digits > 3, "{}", text);
        }
    }
}
