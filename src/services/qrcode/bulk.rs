//! Many codes from a table: a CSV file with a heading.

use std::collections::BTreeMap;
use std::time::Duration;

use super::code::{Life, Scene, Spec};

/// The columns; only `scene` is needed.
const COLUMNS: [&str; 4] = ["scene", "kind", "life", "note"];
/// Most lines of a file.
const MOST: usize = 100_000;

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it stands, from 1; the heading is 1.
    pub line: u64,
    /// The code.
    pub spec: Spec,
    /// What is written about it.
    pub note: String,
}

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ListError {
    /// Where.
    pub line: u64,
    /// What, and what to do.
    pub message: String,
}

/// Reads a table. `life` holds for lines that say none.
///
/// # Errors
/// Everything that is wrong with it, never empty.
pub fn read_list(bytes: &[u8], life: Option<Life>) -> Result<Vec<Listed>, Vec<ListError>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(bytes);
    let wrong = |line, message: String| ListError { line, message };
    let heading = match reader.headers() {
        Ok(heading) => heading.clone(),
        Err(error) => return Err(vec![of_library(&error)]),
    };
    let mut errors = Vec::new();
    for name in heading.iter().filter(|name| !COLUMNS.contains(name)) {
        let message = format!("there is no column \"{name}\": the heading has some of {}", COLUMNS.join(","));
        errors.push(wrong(1, message));
    }
    let column = |name: &str| heading.iter().position(|column| column == name);
    let Some(scene) = column("scene") else {
        errors.push(wrong(1, "the heading lacks the column scene".to_owned()));
        return Err(errors);
    };
    let [kind, own_life, note] = ["kind", "life", "note"].map(column);
    let mut seen: BTreeMap<(Scene, &'static str), u64> = BTreeMap::new();
    let mut list = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                errors.push(of_library(&error));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let field = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default();
        if record.len() > heading.len() {
            errors.push(wrong(
                line,
                "it has more columns than the heading: put quotes around commas".to_owned(),
            ));
            continue;
        }
        let read = scene_of(field(Some(scene)), field(kind))
            .and_then(|scene| Ok((scene, life_of(field(own_life), life)?)))
            .and_then(|(scene, life)| Spec::new(scene, life).map_err(|error| error.to_string()));
        match read {
            Err(message) => errors.push(wrong(line, message)),
            Ok(spec) => {
                if let Some(first) = seen.insert((spec.scene().clone(), spec.life().as_str()), line) {
                    errors.push(wrong(line, format!("line {first} has the same code")));
                }
                list.push(Listed { line, spec, note: field(note).to_owned() });
            }
        }
    }
    if list.is_empty() && errors.is_empty() {
        errors.push(wrong(1, "there is no line below the heading".to_owned()));
    }
    if list.len() > MOST {
        errors.push(wrong(1, format!("there are {} lines: {MOST} are the most", list.len())));
    }
    if errors.is_empty() { Ok(list) } else { Err(errors) }
}

fn of_library(error: &csv::Error) -> ListError {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => {
            "this is not UTF-8: save the file as UTF-8; Excel calls it \"CSV UTF-8\"".to_owned()
        }
        _ => format!("this is not CSV: {error}"),
    };
    ListError { line, message }
}

fn scene_of(text: &str, kind: &str) -> Result<Scene, String> {
    match (kind, Scene::of(text)) {
        ("", scene) | ("int", scene @ Scene::Number(_)) => Ok(scene),
        ("str", _) => Ok(Scene::Text(text.to_owned())),
        ("int", Scene::Text(_)) => Err(format!("\"{text}\" is no number that a code can have")),
        (kind, _) => Err(format!("there is no kind \"{kind}\": write int, str, or nothing")),
    }
}

fn life_of(text: &str, otherwise: Option<Life>) -> Result<Life, String> {
    match text {
        "permanent" => Ok(Life::Permanent),
        "" => otherwise.ok_or_else(|| {
            "it says no life: write permanent or a span like 30d into the column life, or give --permanent or --for"
                .to_owned()
        }),
        span => {
            let span: Result<Duration, _> = humantime::parse_duration(span);
            span.map(Life::Temporary)
                .map_err(|_| format!("\"{text}\" is no life: write permanent, or a span like 30d"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_read_with_its_lines_and_defaults() {
        let text = "\u{feff}scene,life,note\n1,permanent,\"门店, 1\"\nshop-2,30d,\n3,,\n";
        let list = read_list(text.as_bytes(), Some(Life::Permanent)).unwrap();
        let told: Vec<_> = list
            .iter()
            .map(|it| (it.line, it.spec.scene().kind(), it.spec.life().as_str(), it.note.as_str()))
            .collect();
        assert_eq!(
            told,
            [(2, "int", "permanent", "门店, 1"), (3, "str", "temporary", ""), (4, "int", "permanent", "")]
        );
        let texts = read_list(b"scene,kind\n5,str\n", Some(Life::Permanent)).unwrap();
        assert_eq!(texts[0].spec.scene(), &Scene::Text("5".to_owned()));
    }

    #[test]
    fn every_mistake_is_named_by_its_line() {
        let text = "scene,life,colour\n1,permanent,\n1,permanent,\n100001,permanent,\nx,soon,\ny,,\n,permanent,\n1,2,3,4\n";
        let problems = read_list(text.as_bytes(), None).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "line 1: there is no column \"colour\"",
            "line 3: line 2 has the same code",
            "line 4: a permanent code has a number from 1 to 100000",
            "line 5: \"soon\" is no life",
            "line 6: it says no life",
            "line 7: a scene has 1 to 64 characters",
            "line 8: it has more columns",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{expected}: {told}");
        }
        let gbk = read_list(b"scene\n\xb2\xcb\n", Some(Life::Permanent)).unwrap_err();
        assert!(gbk[0].message.starts_with("this is not UTF-8"), "{gbk:?}");
        assert!(read_list(b"name\n1\n", None).unwrap_err()[1].message.contains("lacks the column scene"));
        assert!(read_list(b"scene\n", None).unwrap_err()[0].message.contains("no line below"));
    }
}
