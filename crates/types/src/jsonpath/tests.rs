//! Normal forms, which are PostgreSQL 15's answers.

use super::normalize;

#[test]
fn paths_print_in_normal_form() {
    let cases = [
        ("$", "$"),
        ("strict $", "strict $"),
        ("lax $", "$"),
        ("$.a", "$.\"a\""),
        ("$.a.v.*[1 to 3, last]", "$.\"a\".\"v\".*[1 to 3,last]"),
        ("$.a.**.b", "$.\"a\".**.\"b\""),
        ("$.a.**{2 to last}.b", "$.\"a\".**{2 to last}.\"b\""),
        ("$.a.**{2}.b", "$.\"a\".**{2}.\"b\""),
        ("$+1", "($ + 1)"),
        ("$-1", "($ - 1)"),
        ("$.a[*] ? (@ > 2 && !(@ < 5))", "$.\"a\"[*]?(@ > 2 && !(@ < 5))"),
        ("1 * 2 + 4 % -3 != false", "(1 * 2 + 4 % -3 != false)"),
        ("($.a.b + -$.x.y).c.d", "($.\"a\".\"b\" + -$.\"x\".\"y\").\"c\".\"d\""),
        ("(1.2).type()", "(1.2).type()"),
        ("$ ? (exists (@.x ? (@ > 1)))", "$?(exists (@.\"x\"?(@ > 1)))"),
        ("(@ > 1) is unknown", "error"),
        ("$ ? ((@ > 1) is unknown)", "$?((@ > 1) is unknown)"),
        ("$ ? (@ starts with \"abc\")", "$?(@ starts with \"abc\")"),
        ("$ ? (@ like_regex \"p\" flag \"is\")", "$?(@ like_regex \"p\" flag \"is\")"),
        ("$var", "$\"var\""),
        ("$.\"a b\".type()", "$.\"a b\".type()"),
        ("last", "error"),
        ("$[last]", "$[last]"),
        ("00", "error"),
        ("1.type()", "error"),
        ("$.a ||", "error"),
        ("", "error"),
    ];
    for (text, wanted) in cases {
        let shown = normalize(text).unwrap_or_else(|_| "error".into());
        assert_eq!(shown, wanted, "{text}");
    }
}
