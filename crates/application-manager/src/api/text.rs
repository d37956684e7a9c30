//! Texts that people enter.

use super::ApiError;

/// Checks one line of text: not empty, not too long, nothing that can not be seen.
pub(crate) fn line(path: &str, text: &str, longest: usize) -> Result<String, ApiError> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > longest {
        return Err(ApiError::misfit(
            path,
            format!("{length} characters"),
            format!("1 to {longest} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(ApiError::misfit(path, "control characters", "one line of text"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line("name", "  Lab  ", 10).unwrap(), "Lab");
        for bad in ["", "   ", "a\nb", "much too long"] {
            assert!(line("name", bad, 10).is_err(), "{bad:?}");
        }
    }
}
