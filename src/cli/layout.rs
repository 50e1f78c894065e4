//! Paragraphs in a terminal: wrapped, indented, with a heading at their side.

/// Columns of a paragraph, its heading included. A terminal of 100 columns shows it whole.
const WIDTH: usize = 98;

/// A text beside its heading, which stands in the first line: `    do    add the address …`.
/// The heading has `heading` columns after `indent` blanks; a colour would not count.
pub(super) fn paragraph(indent: usize, heading: (&str, usize), text: &str) -> String {
    let (name, columns) = heading;
    let margin = indent + columns;
    let mut out = String::new();
    for (number, line) in wrap(text, WIDTH.saturating_sub(margin)).iter().enumerate() {
        if number == 0 {
            out.push_str(&" ".repeat(indent));
            out.push_str(name);
            out.push_str(&" ".repeat(columns.saturating_sub(width(name))));
        } else {
            out.push_str(&" ".repeat(margin));
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Breaks between words; a word longer than the width has a line of its own.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let wide = width(word);
        if used > 0 && used + 1 + wide > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += wide;
    }
    if used > 0 {
        lines.push(line);
    }
    lines
}

/// Columns of a text. Enough for Chinese and Latin letters, which is what is printed.
fn width(text: &str) -> usize {
    text.chars().map(|letter| if is_wide(letter) { 2 } else { 1 }).sum()
}

fn is_wide(letter: char) -> bool {
    matches!(letter, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraph_stays_in_its_columns_with_chinese_in_it() {
        let text =
            "mp.weixin.qq.com → 设置与开发 (Settings and Development) → 基本配置 (Basic Configuration) "
                .repeat(4);
        let shown = paragraph(4, ("do", 6), &text);
        assert!(shown.lines().count() > 3, "{shown}");
        assert!(shown.lines().all(|line| width(line) <= WIDTH), "{shown}");
        assert!(shown.starts_with("    do    mp.weixin"), "{shown}");
        assert!(shown.lines().skip(1).all(|line| line.starts_with("          ")), "{shown}");
        let words: Vec<_> = shown.split_whitespace().skip(1).collect();
        assert_eq!(words.join(" "), text.trim(), "no word is lost");
    }
}
