//! JSON laid out for reading, its order and numbers untouched.

use serde_json::value::RawValue;

/// `text` laid out with two blanks a level, or `None` if it is no JSON object or array.
pub(crate) fn pretty(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) || serde_json::from_str::<&RawValue>(text).is_err() {
        return None;
    }
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut characters = text.chars().filter(Layout::default().keeps()).peekable();
    while let Some(c) = characters.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth = depth.saturating_add(1);
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    Some(out)
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Tells the blanks between JSON's pieces from those in its strings.
#[derive(Default)]
struct Layout {
    in_string: bool,
    escaped: bool,
}

impl Layout {
    fn keeps(mut self) -> impl FnMut(&char) -> bool {
        move |c| {
            if self.in_string {
                self.in_string = self.escaped || *c != '"';
                self.escaped = !self.escaped && *c == '\\';
                return true;
            }
            self.in_string = *c == '"';
            !matches!(c, ' ' | '\t' | '\r' | '\n')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_nothing_else() {
        let rows = [
            ("{}", Some("{}")),
            ("[ ]", Some("[]")),
            (r#"{"b":1,"a":[1.10,{ }]}"#, Some("{\n  \"b\": 1,\n  \"a\": [\n    1.10,\n    {}\n  ]\n}")),
            (r#"{"a": "x, {y}: \" [z] \\"}"#, Some("{\n  \"a\": \"x, {y}: \\\" [z] \\\\\"\n}")),
            ("1", None),
            ("{", None),
            ("{} {}", None),
            ("<p>", None),
        ];
        for (text, expected) in rows {
            assert_eq!(pretty(text).as_deref(), expected, "{text}");
        }
    }
}
