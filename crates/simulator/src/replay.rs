//! Rows of a CSV file that are sent again. Pure.

use std::time::Duration;

use anyhow::{Context, ensure};

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Its value.
    pub value: f64,
    /// Time until the next row; the last row repeats the gap before it.
    pub gap: Duration,
}

/// All rows of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    rows: Vec<Row>,
}

impl Replay {
    /// Parses a CSV text with a header line.
    ///
    /// # Errors
    /// When a column is missing, a value is not a number, or the moments do not rise; names the line.
    pub fn parse(text: &str, column: &str, time_column: Option<&str>) -> anyhow::Result<Self> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (_, header) = lines.next().context("the file is empty")?;
        let header = fields(header);
        let find = |name: &str| {
            header
                .iter()
                .position(|field| field == name)
                .with_context(|| format!("there is no column `{name}`: there are {}", header.join(", ")))
        };
        let value_at = find(column)?;
        let time_at = time_column.map(find).transpose()?;
        let mut values = Vec::new();
        let mut moments = Vec::new();
        for (index, line) in lines {
            let number = index + 1;
            let row = fields(line);
            let cell = |at: usize| {
                row.get(at)
                    .map(String::as_str)
                    .with_context(|| format!("line {number} is too short"))
            };
            let value: f64 = cell(value_at)?
                .trim()
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())
                .with_context(|| format!("line {number}: `{column}` is not a number"))?;
            values.push(value);
            if let Some(at) = time_at {
                moments.push(moment(cell(at)?).with_context(|| format!("line {number}: not a moment"))?);
            }
        }
        ensure!(!values.is_empty(), "there is no row below the header");
        let gaps = gaps(&moments)?;
        let rows = values.into_iter().enumerate();
        Ok(Self {
            rows: rows
                .map(|(at, value)| Row {
                    value,
                    gap: gaps.get(at).copied().unwrap_or_default(),
                })
                .collect(),
        })
    }

    /// Returns a row.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<Row> {
        self.rows.get(index).copied()
    }

    /// Returns the number of rows, at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether there is no row; never so after `parse`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn gaps(moments: &[jiff::Timestamp]) -> anyhow::Result<Vec<Duration>> {
    let mut gaps = Vec::with_capacity(moments.len());
    for (index, pair) in moments.windows(2).enumerate() {
        let gap = pair[1].as_millisecond() - pair[0].as_millisecond();
        let gap = u64::try_from(gap)
            .ok()
            .with_context(|| format!("row {} is earlier than the one before", index + 2))?;
        gaps.push(Duration::from_millis(gap));
    }
    if !moments.is_empty() {
        gaps.push(gaps.last().copied().unwrap_or(Duration::from_secs(1)));
    }
    Ok(gaps)
}

/// Reads RFC 3339, or a civil date and time that is taken as UTC.
fn moment(text: &str) -> anyhow::Result<jiff::Timestamp> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Ok(timestamp);
    }
    let civil: jiff::civil::DateTime = text.parse().with_context(|| format!("`{text}`"))?;
    Ok(jiff::tz::TimeZone::UTC.to_timestamp(civil)?)
}

/// Splits one line; a field may be quoted, a doubled quote inside it is one quote.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                push(&mut fields, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => push(&mut fields, other),
        }
    }
    fields
}

fn push(fields: &mut [String], character: char) {
    if let Some(field) = fields.last_mut() {
        field.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_with_a_file() {
        for (text, expected) in [
            ("", "empty"),
            ("date,t\n", "no row"),
            ("date,b\n1,2\n", "there is no column `t`: there are date, b"),
            ("date,t\n2010-01-01T00:00:00,x\n", "line 2: `t` is not a number"),
            ("date,t\n2010-01-01T00:00:00Z\n", "line 2 is too short"),
            ("date,t\nyesterday,1\n", "line 2: not a moment"),
            (
                "date,t\n2010-01-02T00:00:00,1\n2010-01-01T00:00:00,1\n",
                "row 2 is earlier",
            ),
        ] {
            let error = format!("{:#}", Replay::parse(text, "t", Some("date")).unwrap_err());
            assert!(error.contains(expected), "{error} does not contain {expected}");
        }
    }

    #[test]
    fn quotes_may_hold_commas() {
        assert_eq!(fields(r#"a,"b,""c""",d"#), ["a", "b,\"c\"", "d"]);
    }
}
