//! The part of the template language that texts of a reply have: values, `if` and `for`, and some
//! filters, each of which makes no more of a text than there is.
//!
//! With that, and only with that, no text of a user makes an answer cost much: there are no
//! variables that grow from one turn of a loop to the next, no recursion, no multiplying of a text
//! by a number. So every value on the way is as long as what the template names, a loop is bounded
//! by the steps, and what could yet become long is refused before it does ([`replace`], [`join`]).
//!
//! The engine looks for filters and functions when a text is written; a misspelt one is found
//! here, when the file is read.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, filters, tests};

use super::source::nearest;

/// Longest value that a filter makes, in bytes: what is left of it is cut out afterwards, if at all.
const LONGEST_VALUE: usize = 16 * 1024;
const STATEMENTS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];
const FUNCTIONS: [&str; 1] = ["each"];
/// Words before a bracket that are no function.
const WORDS: [&str; 8] = ["and", "or", "not", "in", "if", "elif", "else", "is"];
const FILTERS: [&str; 28] = [
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "max",
    "min",
    "replace",
    "reverse",
    "round",
    "sort",
    "split",
    "string",
    "times",
    "title",
    "trim",
    "upper",
];
const TESTS: [&str; 11] = [
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "in",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "undefined",
];

/// An engine that knows [`FILTERS`], [`TESTS`] and `each`, and nothing else.
pub(super) fn engine() -> Environment<'static> {
    let mut env = Environment::empty();
    env.add_filter("abs", filters::abs);
    env.add_filter("bool", filters::bool);
    env.add_filter("capitalize", filters::capitalize);
    env.add_filter("count", filters::length);
    env.add_filter("d", filters::default);
    env.add_filter("default", filters::default);
    env.add_filter("first", filters::first);
    env.add_filter("float", filters::float);
    env.add_filter("int", filters::int);
    env.add_filter("items", filters::items);
    env.add_filter("join", join);
    env.add_filter("last", filters::last);
    env.add_filter("length", filters::length);
    env.add_filter("lines", filters::lines);
    env.add_filter("list", filters::list);
    env.add_filter("lower", filters::lower);
    env.add_filter("max", filters::max);
    env.add_filter("min", filters::min);
    env.add_filter("replace", replace);
    env.add_filter("reverse", filters::reverse);
    env.add_filter("round", filters::round);
    env.add_filter("sort", filters::sort);
    env.add_filter("split", filters::split);
    env.add_filter("string", filters::string);
    env.add_filter("times", times);
    env.add_filter("title", filters::title);
    env.add_filter("trim", filters::trim);
    env.add_filter("upper", filters::upper);
    env.add_test("defined", tests::is_defined);
    env.add_test("divisibleby", tests::is_divisibleby);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("even", tests::is_even);
    env.add_test("in", tests::is_in);
    env.add_test("none", tests::is_none);
    env.add_test("number", tests::is_number);
    env.add_test("odd", tests::is_odd);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("undefined", tests::is_undefined);
    env.add_function("each", each);
    env
}

/// `each(X)`: X as a list, whether it was there never, once or often.
fn each(value: &Value) -> Vec<Value> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Vec::new(),
        ValueKind::Seq => value.try_iter().map(Iterator::collect).unwrap_or_default(),
        _ => vec![value.clone()],
    }
}

fn too_long() -> Error {
    Error::from(ErrorKind::WriteFailure)
}

/// The engine's own, but for a limit: a text for each letter of another is its square.
fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let more = text.matches(from).count().saturating_mul(to.len());
    if text.len().saturating_add(more) > LONGEST_VALUE {
        return Err(too_long());
    }
    Ok(text.replace(from, to))
}

/// The engine's own, but for a limit.
fn join(list: &Value, between: Option<&str>) -> Result<String, Error> {
    let mut joined = String::new();
    for (at, item) in list.try_iter()?.enumerate() {
        if at > 0 {
            joined.push_str(between.unwrap_or_default());
        }
        match item.as_str() {
            Some(text) => joined.push_str(text),
            None => joined.push_str(&item.to_string()),
        }
        if joined.len() > LONGEST_VALUE {
            return Err(too_long());
        }
    }
    Ok(joined)
}

/// `3 | times(5)`, in place of `*`, which also takes a text times a number.
fn times(number: &Value, by: &Value) -> Result<Value, Error> {
    let broken = || Error::new(ErrorKind::InvalidOperation, "times takes numbers: text | int | times(5)");
    if !number.is_number() || !by.is_number() {
        return Err(broken());
    }
    if number.is_integer() && by.is_integer() {
        let product = number.as_i64().zip(by.as_i64()).and_then(|(number, by)| number.checked_mul(by));
        return product.map(Value::from).ok_or_else(broken);
    }
    let float = |value: &Value| f64::try_from(value.clone()).map_err(|_| broken());
    Ok(Value::from(float(number)? * float(by)?))
}

/// Whether a template that the engine can read keeps to the language.
///
/// # Errors
/// What it may not say, as a sentence.
pub(super) fn check(template: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (mark, inside) = rest[at..].split_at_checked(2).unwrap_or((&rest[at..], ""));
        rest = match mark {
            "{#" => inside.split_once("#}").map_or("", |(_, behind)| behind),
            "{{" => tag(inside, Tag::Value)?,
            "{%" => tag(inside, Tag::Statement)?,
            _ => &rest[at + 1..],
        };
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Value,
    Statement,
}

/// One word or sign of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Sign(char),
    Text,
}

/// Checks a tag; returns what is behind it.
fn tag(inside: &str, kind: Tag) -> Result<&str, String> {
    let end = if kind == Tag::Value { "}}" } else { "%}" };
    let mut rest = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    let mut tokens: Vec<Token<'_>> = Vec::new();
    // As the engine has it: the end is none within brackets.
    let mut open = 0_i32;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        if open == 0
            && let Some(behind) = rest.strip_prefix(end)
        {
            rest = behind;
            break;
        }
        let length = match first {
            '"' | '\'' => quoted(rest, first),
            _ if part_of_word(first) => rest.find(|letter| !part_of_word(letter)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (own, behind) = rest.split_at(length);
        match first {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open -= 1,
            _ => {}
        }
        tokens.push(match first {
            '"' | '\'' => Token::Text,
            _ if part_of_word(first) => Token::Word(own),
            _ => Token::Sign(first),
        });
        rest = behind;
    }
    words(&tokens, kind)?;
    Ok(rest)
}

fn part_of_word(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

/// How long a text in quotes is, quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn words(tokens: &[Token<'_>], kind: Tag) -> Result<(), String> {
    if let (Tag::Statement, Some(Token::Word(word))) = (kind, tokens.first())
        && !STATEMENTS.contains(word)
    {
        return Err(format!("{{% {word} %}} is not known here: a text has values, if and for"));
    }
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let behind = tokens.get(at + 1);
        match token {
            Token::Sign('*') => {
                return Err(
                    "there is no * here, as it would repeat a text as often as a user says; for numbers: captures.n | int | times(5)"
                        .to_owned(),
                );
            }
            Token::Word("recursive") if kind == Tag::Statement => {
                return Err("a loop within a loop is written out: recursive is not known here".to_owned());
            }
            Token::Word(word) if before == Some(&Token::Sign('|')) => known("filter", word, &FILTERS)?,
            Token::Word("not") if before == Some(&Token::Word("is")) => {}
            Token::Word(word) if is_test(&tokens[..at]) => known("test", word, &TESTS)?,
            Token::Word(word)
                if behind == Some(&Token::Sign('('))
                    && before != Some(&Token::Sign('.'))
                    && !WORDS.contains(word) =>
            {
                known("function", word, &FUNCTIONS)?;
            }
            Token::Word(_) | Token::Sign(_) | Token::Text => {}
        }
    }
    Ok(())
}

/// Whether what follows is the name of a test: `x is NAME`, `x is not NAME`.
fn is_test(before: &[Token<'_>]) -> bool {
    matches!(before, [.., Token::Word("is")] | [.., Token::Word("is"), Token::Word("not")])
}

fn known(what: &str, word: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&word) {
        return Ok(());
    }
    let advice = nearest(word, known)
        .map_or_else(|| format!("here are {}", known.join(", ")), |near| format!("did you mean {near}?"));
    Err(format!("there is no {what} {word}: {advice}"))
}

#[cfg(test)]
mod language_tests {
    use super::*;

    #[test]
    fn what_lets_a_text_grow_is_refused_when_the_file_is_read_wherever_it_stands() {
        for (template, why) in [
            ("{% set x = 1 %}", "{% set %}"),
            ("{%- macro f() %}{% endmacro %}", "{% macro %}"),
            ("{%+ with x = 1 %}{% endwith %}", "{% with %}"),
            ("{% include 'x' %}", "{% include %}"),
            ("a{% filter upper %}b{% endfilter %}", "{% filter %}"),
            ("{% raw %}{{{% endraw %}", "{% raw %}"),
            ("{% for x in y recursive %}{% endfor %}", "recursive"),
            ("{{ 'x' * 3 }}", "no *"),
            ("{{ 2 ** 3 }}", "no *"),
            ("{% if 'x' * 3 %}{% endif %}", "no *"),
            ("{{ 'a\\'}}' ~ 'x' * 3 }}", "no *"),
            ("{{ {'a': {'b': 1}} ~ 'x' * 3 }}", "no *"),
            ("{# {{ #}{{ 'x' * 3 }}", "no *"),
            ("{ {{ 'x' * 3 }}", "no *"),
            ("{{ '}}' }}{{ 'x' * 3 }}", "no *"),
            ("{{ range(9) }}", "no function range"),
            ("{{ a ~ range(9) }}", "no function range"),
            ("{{ namespace(a=1) }}", "no function namespace"),
            ("{{ a | uper }}", "no filter uper: did you mean upper?"),
            ("{{ a | upper | map('upper') }}", "no filter map"),
            ("{{ a|indent(9) }}", "no filter indent"),
            ("{% if a is defned %}{% endif %}", "no test defned: did you mean defined?"),
            ("{% if a is not safe %}{% endif %}", "no test safe"),
        ] {
            let found = check(template).expect_err(template);
            assert!(found.contains(why), "{template}: {found}");
        }
        for fine in [
            "",
            "{",
            "a * b { {% if a is not defined and (b is in c or not (d)) %}*{% else %}b{% endif %} | range(1)",
            "{{ '*' ~ \"* \\\" *\" }}{# * #} * {{ a|d('x')|upper }}",
            "{{ now.format('%H') }} {{ a | int | times(5) }}",
            "{% for x in each(a) if x.b is startingwith('c') -%}{{ loop.index }}{%- endfor %}",
            "{{ {'a': 1}['a'] }}",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn every_filter_and_test_that_is_named_is_one_that_the_engine_has() {
        let env = engine();
        let missing = |expression: String| {
            let error = env.compile_expression(&expression).map(|compiled| compiled.eval(()));
            matches!(error, Ok(Err(error)) if matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest))
        };
        assert!(missing("a | indent".to_owned()) && missing("a is safe".to_owned()));
        for filter in FILTERS {
            assert!(!missing(format!("1 | {filter}")), "{filter}");
        }
        for test in TESTS {
            assert!(!missing(format!("1 is {test}")), "{test}");
        }
    }

    #[test]
    fn filters_make_no_more_of_a_text_than_the_limit() {
        let (thousand, many) = ("x".repeat(1_000), "y".repeat(17));
        assert_eq!(replace("axb", "x", "yz").unwrap(), "ayzb");
        assert!(replace(&thousand, "x", &many[..15]).is_ok() && replace(&thousand, "x", &many).is_err());
        // The empty text is between all letters.
        assert_eq!(replace("ab", "", "-").unwrap(), "-a-b-");
        let list = Value::from(vec!["a"; 1_000]);
        assert_eq!(join(&Value::from(vec![1, 2]), Some(", ")).unwrap(), "1, 2");
        assert_eq!(join(&Value::from(vec!["a", "b"]), None).unwrap(), "ab");
        assert!(join(&list, Some(&many[..14])).is_ok() && join(&list, Some(&many)).is_err());
    }

    #[test]
    fn times_is_for_numbers_that_fit() {
        let of = |number: Value, by: Value| times(&number, &by).map(|value| value.to_string()).ok();
        assert_eq!(of(3.into(), 5.into()).as_deref(), Some("15"));
        assert_eq!(of(3.into(), 0.5.into()).as_deref(), Some("1.5"));
        assert_eq!(of(i64::MAX.into(), 2.into()), None);
        assert_eq!(of(i128::MAX.into(), 1.into()), None);
        assert_eq!(of("x".into(), 3.into()), None);
        assert_eq!(of(3.into(), "x".into()), None);
    }
}
