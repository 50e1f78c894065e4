//! The rules: a file of any text, and messages of any text before the example's rules. An
//! administrator writes the file, so a bad one may be refused, but never end the service.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::fields::Format;
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::rules::{Book, Names, Verdict};
use zhongkong_fuzz::{NOW, read};

/// With two odd rules more, which look at what any message may have in ways that the example does not.
static EXAMPLE: LazyLock<Book> = LazyLock::new(|| {
    let odd = r#"
        [[rule]]
        name = "odd: seen"
        continue = true
        when.content = { regex = "(?s)(?<all>.*)", ignore_case = true }
        forward = "program"
        [[rule]]
        name = "odd: shown"
        reply = """{{ created ~ now }}{{ from ~ to ~ type ~ captures|string }}{{ created.format('%c') }}
            {% for x in each(Content) %}{{ x|upper|replace('a', 'b')|length }}{% endfor %}{{ content[1:9] }}"""
    "#;
    let example = include_str!("../../examples/rules.toml");
    let (before, fallback) = example.rsplit_once("[fallback]").expect("the example has a fallback");
    let text = format!("{before}{odd}\n[fallback]{fallback}");
    match Book::parse(&text, &Names::Any) {
        Ok((book, _)) => book,
        Err(problems) => panic!("{problems:#?}"),
    }
});

static ACCOUNT: LazyLock<Account> =
    LazyLock::new(|| Account { appid: "wx1".parse().expect("an appid"), path: "main".to_owned() });

static HELLO: LazyLock<Message> = LazyLock::new(|| {
    let push = include_bytes!("../../tests/data/messages/text.xml");
    Message::read(read(Format::Xml, push).expect("the sample is a push")).expect("it is a message")
});

fuzz_target!(|input: &[u8]| {
    if let Some(format) = Format::of(input) {
        let Some(fields) = read(format, input) else { return };
        let Ok(message) = Message::read(fields) else { return };
        let steps = EXAMPLE.preview(&ACCOUNT, &message, NOW);
        assert!(!steps.is_empty());
        for step in steps {
            if let Verdict::Failed(error) = step.verdict {
                std::hint::black_box(error.to_string());
            }
        }
        return;
    }
    let Ok(text) = str::from_utf8(input) else { return };
    match Book::parse(text, &Names::Any) {
        Ok((book, _)) => drop(book.preview(&ACCOUNT, &HELLO, NOW)),
        Err(problems) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
        }
    }
});
