//! What a message may cost, whatever a user writes; how much a file may have; what its bytes may be.

use super::*;

/// The longest text that a push can carry, all of it one letter.
fn longest() -> String {
    "x".repeat(200_000)
}

#[test]
fn what_a_user_writes_is_never_a_template() {
    // The text is a value: it is put in and not looked at again, in whatever way it is used.
    for evil in ["{{ 7 * 7 }}", "{% for x in y %}", "{# no #}", "{{ from }}", "<![CDATA[", "\u{0}{{"] {
        assert_eq!(rendered("{{ Content }}", "", &said(evil)).unwrap(), evil);
        let regex = "when.content = { regex = '(?s)^(.*)$' }";
        assert_eq!(rendered("{{ captures[1] ~ '' }}", regex, &said(evil)).unwrap(), evil);
    }
}

#[test]
fn no_text_of_a_user_makes_a_template_write_or_work_much() {
    // Rules that a careful administrator could write, and users who try what can be done with them.
    let number = "when.content = { regex = '^(?<n>[0-9]+)$' }";
    let many = said("99999999999999999999999999");
    assert!(rendered("{{ captures.n | int | times(captures.n | int) }}", number, &many).is_err());
    assert_eq!(rendered("{{ captures.n | int | times(2) }}", number, &said("21")).unwrap(), "42");
    // Text for text, and again: the square would be 40 GB.
    let long = said(&longest());
    for (template, why) in [
        ("{{ Content | replace('x', Content) | length }}", "is longer than the 2048 bytes"),
        ("{{ Content | replace('x', 'y') | length }}", "is longer than the 2048 bytes"),
        ("{{ Content | list | join(Content) | length }}", "is longer than the 2048 bytes"),
        ("{% for a in Content %}{% endfor %}", "takes more than"),
        ("{% for a in Content %}{% for b in Content %}{% endfor %}{% endfor %}", "takes more than"),
        ("{% for a in Content %}{{ Content }}{% endfor %}", "is longer than the 2048 bytes"),
        ("{{ Content }}{{ Content }}", "is longer than the 2048 bytes"),
        ("{{ now.format(Content) }}", "is longer than the 2048 bytes"),
    ] {
        let error = rendered(template, "", &long).expect_err(template);
        assert!(error.to_string().contains(why) && !error.to_string().contains("xx"), "{template}: {error}");
        assert!(error.to_string().len() < 200, "{error}");
    }
    // Beginnings of a long text are no problem.
    assert_eq!(rendered("{{ Content[:3] }}", "", &long).unwrap(), "xxx");
    let short = said(&"x".repeat(2048));
    assert_eq!(rendered("{{ Content }}", "", &short).unwrap().len(), 2048);
    assert!(rendered("{{ Content }}!", "", &short).is_err());
}

#[test]
fn fields_that_repeat_hundreds_of_times_are_bounded_like_any_loop() {
    let mut all = Fields::default();
    for (name, text) in
        [("ToUserName", "gh_1"), ("FromUserName", "o"), ("CreateTime", "1"), ("MsgType", "event")]
    {
        all.push(name, Value::Text(text.into()));
    }
    for _ in 0..1_000 {
        all.push("List", Value::Text("x".into()));
    }
    let message = Message::read(all).unwrap();
    let once = "{% for a in each(List) %}{{ a }}{% endfor %}";
    assert_eq!(rendered(once, "", &message).unwrap().len(), 1_000);
    let thrice = "{% for a in each(List) %}{% for b in each(List) %}{% for c in each(List) %}{% endfor %}{% endfor %}{% endfor %}";
    let error = rendered(thrice, "", &message).expect_err("a thousand millions");
    assert!(error.to_string().contains("takes more than"), "{error}");
}

#[test]
fn expression_that_others_choke_on_takes_no_longer_for_an_evil_text() {
    // In a backtracking engine each letter doubles the time: the test would not end.
    let file = "[[rule]]\nwhen.content = { regex = '^(a+)+$' }\nreply = 'a'\n[[rule]]\nwhen.content = { regex = '(x+x+)+y' }\nreply = 'b'";
    assert_eq!(answer(file, &said(&format!("{}!", "a".repeat(100_000)))), None);
    assert_eq!(answer(file, &said(&longest())), None);
}

#[test]
fn variables_do_not_grow_from_turn_to_turn_and_what_would_let_them_is_no_template() {
    for reply in [
        "{% set x = Content %}{% for a in Content %}{% set x = x ~ x %}{% endfor %}{{ x }}",
        "{% for a in [Content] recursive %}{{ loop([a ~ a]) }}{% endfor %}",
        "{{ '-' * (Content | int) }}",
        "{{ [0] * (Content | int) | join }}",
    ] {
        let file = format!("[[rule]]\nreply = '''{reply}'''");
        let Err(problems) = Book::parse(&file, &Names::Any) else { panic!("{reply}") };
        assert_eq!((problems.len(), problems[0].line), (1, 2), "{problems:?}");
        assert_eq!(problems[0].place, "rule 1: reply");
    }
}

#[test]
fn file_may_have_a_thousand_rules_eight_articles_and_16_kib_of_template() {
    let rules = |count: usize| "[[rule]]\nwhen.key = 'a'\nreply = 'b'\n".repeat(count);
    assert_eq!(book(&rules(1_000)).len(), 1_000);
    let found = problems(&rules(1_001));
    assert!(found[0].contains("1001 rules are too many: a file has 1000 at most"), "{found:?}");

    let news = |count: usize| {
        format!("[[rule]]\nreply.news = [{}]", "{ title = 'a', url = 'http://u' },".repeat(count))
    };
    assert_eq!(book(&news(8)).len(), 1);
    assert!(problems(&news(9))[0].contains("9 articles are too many"), "{:?}", problems(&news(9)));

    let template = |bytes: usize| {
        let text = "{{ from }}";
        format!("[[rule]]\nreply = '{text}{}'", " ".repeat(bytes - text.len()))
    };
    assert_eq!(book(&template(16_384)).len(), 1);
    assert!(problems(&template(16_385))[0].contains("16385 bytes are too many"));
    let plain = |bytes: usize| format!("[[rule]]\nreply = '{}'", "x".repeat(bytes));
    assert_eq!(book(&plain(2_048)).len(), 1);
    assert!(problems(&plain(2_049))[0].contains("2049 bytes are too many"));
}

#[test]
fn list_of_mistakes_ends_somewhere() {
    let problem = Problem { line: 1, place: String::new(), message: "this is not TOML".to_owned() };
    let shown = |count| {
        let problems = vec![problem.clone(); count];
        RulesError::Invalid { path: "r.toml".into(), problems }.to_string()
    };
    assert_eq!(shown(50).lines().count(), 51);
    assert!(shown(50_000).lines().count() == 52 && shown(50_000).ends_with("\n  and 49950 more"));
}

#[test]
fn bytes_of_a_file_are_read_as_its_editor_meant_them_or_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Book::read(&path, &Names::Any).map(|(book, _)| book.len()).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("{error} {cause}")
        })
    };
    let rule = b"[[rule]]\r\nreply = 'a'\r\n";
    assert_eq!(read(rule), Ok(1));
    assert_eq!(read(&[b"\xef\xbb\xbf", &rule[..]].concat()), Ok(1));
    assert_eq!(read(b"# no rules yet"), Ok(0));
    // 你好 as GBK has it.
    let gbk = read(b"[[rule]]\nreply = '\xc4\xe3\xba\xc3'\n").unwrap_err();
    assert!(gbk.contains("line 2: this is not UTF-8 (perhaps GBK): save the file as UTF-8"), "{gbk}");
    for empty in [&b""[..], b" \n\n", b"\xef\xbb\xbf\n"] {
        assert!(read(empty).unwrap_err().contains("line 1: the file is empty"), "{empty:?}");
    }
    assert!(read(&[0; 100]).unwrap_err().contains("this is not TOML"));
    let padded = |bytes: usize| [rule, &vec![b' '; bytes - rule.len()][..]].concat();
    assert_eq!(read(&padded(4 << 20)), Ok(1));
    assert!(read(&padded((4 << 20) + 1)).unwrap_err().contains("it has more than 4 MiB"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(Book::read(&path, &Names::Any).is_err());
}

#[test]
fn captures_are_of_the_first_expression_and_names_are_of_all() {
    let scan = message("event", &[("Event", "SCAN"), ("EventKey", "shop_7"), ("Ticket", "T9")]);
    let when = "when.key = { regex = '^(?<kind>[a-z]+)_(.*)$' }\nwhen.field.Ticket = { regex = '(?<t>.)(?<kind>.)' }";
    let shown =
        rendered("{{ captures[0] }} {{ captures[2] }} {{ captures.kind }} {{ captures.t }}", when, &scan);
    assert_eq!(shown.unwrap(), "shop_7 7 shop T");
    // Not even a number that only a later expression has is taken from that.
    let when = when.replace("(?<kind>.)'", "(?<kind>.)()()'");
    assert!(rendered("{{ captures[2] }}{{ captures[3] }}", &when, &scan).is_err());
    // Without an expression there is nothing captured, and asking for it is an error.
    assert!(rendered("{{ captures[0] }}", "when.key = 'shop_7'", &scan).is_err());
}
