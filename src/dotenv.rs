//! `.env` files: one `NAME=value` a line.
//!
//! Blank lines and lines that begin with `#` are skipped, `export ` before a name is allowed. A bare value ends at a
//! ` #` comment; one in single quotes is taken as it is, one in double quotes knows `\n`, `\r`, `\t`, `\"`, `\\` and
//! `\$`. Nothing is expanded, and a value ends with its line.

/// The variables of a file, in its order; or the number of the first line that is no assignment.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let text = text.trim_start_matches('\u{feff}');
    let mut variables = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        variables.push(assignment(line).ok_or(number)?);
    }
    Ok(variables)
}

fn assignment(line: &str) -> Option<(String, String)> {
    // No environment holds a NUL: a value with one could not be handed on.
    if line.contains('\0') {
        return None;
    }
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(legal) {
        return None;
    }
    let value = value.trim_start();
    let value = match value.chars().next() {
        Some('\'') => single_quoted(value.strip_prefix('\'')?)?,
        Some('"') => double_quoted(value.strip_prefix('"')?)?,
        _ => bare(value),
    };
    Some((name.to_owned(), value))
}

fn bare(value: &str) -> String {
    let end = value.char_indices().find(|&(at, c)| {
        let before = value.get(..at).unwrap_or_default();
        c == '#' && (before.is_empty() || before.ends_with([' ', '\t']))
    });
    value.get(..end.map_or(value.len(), |(at, _)| at)).unwrap_or_default().trim_end().to_owned()
}

fn single_quoted(rest: &str) -> Option<String> {
    let (value, after) = rest.split_once('\'')?;
    is_end(after).then(|| value.to_owned())
}

fn double_quoted(rest: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return is_end(chars.as_str()).then_some(value),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('"' | '\\' | '$') => same,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

/// What may follow a closing quote.
fn is_end(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || after.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_assignments_as_people_write_them() {
        for (line, value) in [
            ("A=1", "1"),
            ("  A = 1  ", "1"),
            ("export A=1", "1"),
            ("A=", ""),
            ("A=b c # comment", "b c"),
            ("A=b#c", "b#c"),
            ("A= # comment", ""),
            ("A='b # \\n c' # comment", "b # \\n c"),
            (r#"A="b\n\"c\" \$d" # comment"#, "b\n\"c\" $d"),
            ("A=b=c", "b=c"),
            ("A=é", "é"),
        ] {
            assert_eq!(parse(line), Ok(vec![("A".into(), value.into())]), "{line}");
        }
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named_by_its_number() {
        for line in ["A", "=1", "1A=1", "A B=1", "A='1", "A=\"1", "A='1' 2", r#"A="\x""#, "A-B=1", "A=\0"] {
            assert_eq!(parse(&format!("# first\n\n{line}\nB=2")), Err(3), "{line}");
        }
    }

    #[test]
    fn a_bom_and_foreign_line_ends_are_dropped() {
        assert_eq!(parse("\u{feff}A=1\r\nB=2\r\n"), Ok(vec![("A".into(), "1".into()), ("B".into(), "2".into())]));
    }
}
