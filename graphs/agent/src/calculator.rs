//! Works out expressions of numbers, `+ - * /` and parentheses.

use std::iter::Peekable;
use std::str::Chars;

/// Parentheses deeper than this are refused: each level takes stack.
const DEPTH: u32 = 100;

/// The value of an expression.
pub fn evaluate(expression: &str) -> Result<f64, String> {
    let mut parser = Parser {
        chars: expression.chars().peekable(),
    };
    let value = parser.sum(0)?;
    match parser.peek() {
        Some(c) => Err(format!("unexpected `{c}`")),
        None if value.is_finite() => Ok(value),
        None => Err("the result is no number".to_owned()),
    }
}

struct Parser<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        while self.chars.next_if(|c| c.is_whitespace()).is_some() {}
        self.chars.peek().copied()
    }

    fn take(&mut self, wanted: &str) -> Option<char> {
        let found = self.peek().filter(|c| wanted.contains(*c))?;
        self.chars.next();
        Some(found)
    }

    fn sum(&mut self, depth: u32) -> Result<f64, String> {
        let mut value = self.product(depth)?;
        while let Some(sign) = self.take("+-") {
            let next = self.product(depth)?;
            value = if sign == '+' {
                value + next
            } else {
                value - next
            };
        }
        Ok(value)
    }

    fn product(&mut self, depth: u32) -> Result<f64, String> {
        let mut value = self.factor(depth)?;
        while let Some(sign) = self.take("*/") {
            let next = self.factor(depth)?;
            if sign == '/' && next == 0.0 {
                return Err("division by zero".to_owned());
            }
            value = if sign == '*' {
                value * next
            } else {
                value / next
            };
        }
        Ok(value)
    }

    fn factor(&mut self, depth: u32) -> Result<f64, String> {
        if depth > DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        if self.take("-").is_some() {
            return Ok(-self.factor(depth + 1)?);
        }
        if self.take("(").is_some() {
            let value = self.sum(depth + 1)?;
            return self
                .take(")")
                .map(|_| value)
                .ok_or_else(|| "a `)` is missing".to_owned());
        }
        self.number()
    }

    fn number(&mut self) -> Result<f64, String> {
        let start = self.peek();
        let mut digits = String::new();
        while let Some(c) = self.chars.next_if(|c| c.is_ascii_digit() || *c == '.') {
            digits.push(c);
        }
        match start {
            None => Err("the expression ends too soon".to_owned()),
            Some(c) if digits.is_empty() => Err(format!("unexpected `{c}`")),
            Some(_) => digits
                .parse()
                .map_err(|_| format!("`{digits}` is no number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::evaluate;

    #[test]
    fn products_come_before_sums() {
        assert_eq!(evaluate("2 + 3 * -(4 - 6) / 4"), Ok(3.5));
        assert_eq!(evaluate("6*7"), Ok(42.0));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            evaluate("1 +"),
            Err("the expression ends too soon".to_owned())
        );
        assert_eq!(evaluate("2 x 3"), Err("unexpected `x`".to_owned()));
        assert_eq!(evaluate("1/0"), Err("division by zero".to_owned()));
        assert!(evaluate(&"(".repeat(1_000)).is_err());
    }
}
