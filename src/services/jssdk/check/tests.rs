//! Each usual mistake, made on purpose, is found and named.

use super::*;

const TICKET: &str = "kgt8ON7yVITDhtdwci0qeZWfMJBjN-fzXJ8FSpCxwkl";
const URL: &str = "https://h5.example.com/a/%E4%BD%A0/?b=1+2&c=x&from=singlemessage&code=C&state=S#/route";
const NONCE: &str = "aBcD1234";
const TIME: &str = "1414587457";

fn explained(signed_url: &str, change: impl FnOnce(&mut Sent), made_with: &str, url: &str) -> Explanation {
    let (own, foreign) = (Secret::from(TICKET), Secret::from("ticket-of-the-club"));
    let used = if made_with == TICKET { &own } else { &foreign };
    let mut sent = Sent {
        signature: jsapi::digest(used, NONCE, &TIME, signed_url),
        timestamp: TIME.to_owned(),
        nonce: NONCE.to_owned(),
    };
    change(&mut sent);
    let tickets = [
        Ticket { whose: "the ticket of shop", value: &own },
        Ticket { whose: "the ticket of club", value: &foreign },
    ];
    explain(&Question {
        url,
        landing: Some("https://h5.example.com/first?x=1#top"),
        sent: Some(&sent),
        tickets: &tickets,
        hosts: None,
    })
}

fn names(explanation: &Explanation) -> Vec<&'static str> {
    match &explanation.verdict {
        Verdict::Explained(found) => {
            assert!(explanation.causes.is_empty(), "{explanation:?}");
            found.iter().map(Finding::name).collect()
        }
        Verdict::Right => vec!["right"],
        Verdict::Unexplained => vec!["unexplained"],
        Verdict::NotCompared => vec!["not compared"],
    }
}

#[test]
fn every_text_that_is_signed_by_mistake_is_named() {
    let cut = URL.split('#').next().unwrap();
    for (signed, name) in [
        (cut, vec!["right"]),
        (URL, vec!["with_fragment"]),
        ("https://h5.example.com/a/你/?b=1+2&c=x&from=singlemessage&code=C&state=S", vec!["decoded"]),
        (
            "https%3A%2F%2Fh5.example.com%2Fa%2F%25E4%25BD%25A0%2F%3Fb%3D1%2B2%26c%3Dx%26from%3Dsinglemessage%26code%3DC%26state%3DS",
            vec!["encoded"],
        ),
        (
            "https://h5.example.com/a/%25E4%25BD%25A0/?b=1+2&c=x&from=singlemessage&code=C&state=S",
            vec!["encoded_again"],
        ),
        (
            "https://h5.example.com/a/%E4%BD%A0/?b=1+2&amp;c=x&amp;from=singlemessage&amp;code=C&amp;state=S",
            vec!["html_escaped"],
        ),
        (
            "http://h5.example.com/a/%E4%BD%A0/?b=1+2&c=x&from=singlemessage&code=C&state=S",
            vec!["other_scheme"],
        ),
        ("https://h5.example.com/a/%E4%BD%A0/", vec!["without_query"]),
        (
            "https://h5.example.com/a/%E4%BD%A0?b=1+2&c=x&from=singlemessage&code=C&state=S",
            vec!["without_slash"],
        ),
        ("https://h5.example.com/", vec!["root"]),
        ("https://h5.example.com/a/%E4%BD%A0/?b=1+2&c=x&code=C&state=S", vec!["without_added"]),
        ("https://h5.example.com/a/%E4%BD%A0/?b=1+2&c=x&from=singlemessage", vec!["without_login"]),
        ("https://h5.example.com/a/%E4%BD%A0/?b=1 2&c=x&from=singlemessage&code=C&state=S", vec!["blanks"]),
        (
            "https://h5.example.com:443/a/%E4%BD%A0/?b=1+2&c=x&from=singlemessage&code=C&state=S",
            vec!["with_port"],
        ),
        (
            "https://h5.example.com/a/%e4%bd%a0/?b=1+2&c=x&from=singlemessage&code=C&state=S",
            vec!["other_escapes"],
        ),
        ("https://h5.example.com/first?x=1", vec!["landing"]),
        // Two at once.
        ("http://h5.example.com/a/%E4%BD%A0/", vec!["other_scheme", "without_query"]),
        ("https://h5.example.com/a/%E4%BD%A0/?b=1+2&c=x", vec!["without_added", "without_login"]),
        ("https://elsewhere.example/", vec!["unexplained"]),
    ] {
        assert_eq!(names(&explained(signed, |_| {}, TICKET, URL)), name, "{signed}");
    }
    assert_eq!(
        names(&explained("https://h5.example.com/", |_| {}, TICKET, "https://h5.example.com")),
        ["with_slash"]
    );
    let port = "https://h5.example.com:8443/x";
    assert_eq!(names(&explained("https://h5.example.com/x", |_| {}, TICKET, port)), ["without_port"]);
}

#[test]
fn other_time_nonce_ticket_and_capitals_are_named_too() {
    let cut = URL.split('#').next().unwrap();
    for (change, ticket, name) in [
        (
            Box::new(|sent: &mut Sent| sent.timestamp.push_str("000")) as Box<dyn FnOnce(&mut Sent)>,
            TICKET,
            vec!["timestamp"],
        ),
        (Box::new(|sent: &mut Sent| sent.timestamp.push_str(".123")), TICKET, vec!["timestamp"]),
        (Box::new(|sent: &mut Sent| sent.signature.make_ascii_uppercase()), TICKET, vec!["capitals"]),
        (Box::new(|_: &mut Sent| {}), "club", vec!["ticket"]),
        (Box::new(|sent: &mut Sent| sent.nonce = "another".to_owned()), TICKET, vec!["unexplained"]),
        (Box::new(|sent: &mut Sent| sent.timestamp = "1414587458".to_owned()), TICKET, vec!["unexplained"]),
    ] {
        assert_eq!(names(&explained(cut, change, ticket, URL)), name);
    }
    let own = Secret::from(TICKET);
    let sent = Sent {
        signature: jsapi::digest(&own, "abcd", &TIME, "https://h5.example.com/"),
        timestamp: TIME.to_owned(),
        nonce: "ABCD".to_owned(),
    };
    let tickets = [Ticket { whose: "own", value: &own }];
    let explanation = explain(&Question {
        url: "https://h5.example.com/",
        landing: None,
        sent: Some(&sent),
        tickets: &tickets,
        hosts: None,
    });
    assert_eq!(explanation.verdict, Verdict::Explained(vec![Finding::Nonce { signed: "abcd".to_owned() }]));
    let Verdict::Explained(found) = explanation.verdict else { panic!() };
    assert!(found[0].sentence().contains("abcd"), "{found:?}");
}

#[test]
fn without_a_match_the_causes_that_the_url_shows_come_first() {
    let hosts: Vec<HostRule> = vec!["h5.example.com".parse().unwrap()];
    let ask = |url: &'static str, sent: Option<&Sent>| {
        explain(&Question { url, landing: None, sent, tickets: &[], hosts: Some(&hosts) })
    };
    let explanation = ask("https://h5.example.com/?a=%2520&amp;b=1&from=x#top", None);
    assert_eq!((explanation.verdict, explanation.host), (Verdict::NotCompared, Some(Ok(()))));
    assert_eq!(explanation.signed, "https://h5.example.com/?a=%2520&amp;b=1&from=x");
    for (nth, word) in ["a #", "&amp;", "%25", "shared links"].into_iter().enumerate() {
        assert!(explanation.causes[nth].contains(word), "{:?}", explanation.causes);
    }
    let sent =
        Sent { signature: "beef".to_owned(), timestamp: "1414587457.1".to_owned(), nonce: "n".to_owned() };
    let explanation = ask("https://evil.example/", Some(&sent));
    assert!(explanation.causes[0].contains("fraction"), "{:?}", explanation.causes);
    assert!(explanation.causes[1].contains("40 hexadecimal digits"), "{:?}", explanation.causes);
    assert_eq!(explanation.host.unwrap().unwrap_err().reason(), "host");
}

#[test]
fn every_change_has_a_name_and_a_sentence_of_its_own() {
    let all: Vec<Change> =
        Change::OF_URL.into_iter().chain([Change::WithFragment, Change::Landing]).collect();
    let names: HashSet<&str> = all.iter().map(|change| change.name()).collect();
    let sentences: HashSet<&str> = all.iter().map(|change| change.sentence()).collect();
    assert_eq!((names.len(), sentences.len()), (17, 17));
}
