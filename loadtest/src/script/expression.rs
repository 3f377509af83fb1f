//! Expressions of `ifTrue` and of `ensure.conditions`: the language of filtrex.
//!
//! Numbers, texts in double quotes, names (also with dots; in single quotes with anything), `+ - * / % ^`,
//! `== != < <= > >=`, `in (a, b)`, `not in`, `~=` for regular expressions, `and or not`, `a ? b : c`, and the
//! functions abs ceil floor max min round sqrt.

use std::iter::Peekable;

use serde_json::Value;

/// Deepest nesting.
const DEPTH: usize = 64;

/// A compiled expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A variable or metric.
    Name(String),
    /// An operation on one value.
    Unary(Unary, Box<Formula>),
    /// An operation on two values.
    Binary(Binary, Box<Formula>, Box<Formula>),
    /// Whether the first is among the others.
    In(Box<Formula>, Vec<Formula>),
    /// The second if the first holds, else the third.
    Choice(Box<Formula>, Box<Formula>, Box<Formula>),
    /// A function.
    Call(Function, Vec<Formula>),
}

/// Operations on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unary {
    Not,
    Minus,
}

/// Operations on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
    Power,
}

/// Functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Function {
    Abs,
    Ceil,
    Floor,
    Max,
    Min,
    Round,
    Sqrt,
}

impl Formula {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
        let formula = parser.choice()?;
        match parser.tokens.next() {
            None => Ok(formula),
            Some(token) => Err(format!("`{text}`: {token} is not expected there")),
        }
    }

    /// Whether it holds, with the values of names from `value_of`; a missing one is undefined.
    pub fn holds(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        truth(&self.value(value_of))
    }

    /// The value.
    pub fn value(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> Value {
        match self {
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Name(name) => value_of(name).unwrap_or(Value::Null),
            Self::Unary(Unary::Not, of) => Value::from(!of.holds(value_of)),
            Self::Unary(Unary::Minus, of) => Value::from(-number(&of.value(value_of))),
            Self::Binary(Binary::And, one, other) => Value::from(one.holds(value_of) && other.holds(value_of)),
            Self::Binary(Binary::Or, one, other) => Value::from(one.holds(value_of) || other.holds(value_of)),
            Self::Binary(operation, one, other) => operate(*operation, &one.value(value_of), &other.value(value_of)),
            Self::In(one, others) => {
                let one = one.value(value_of);
                Value::from(others.iter().any(|other| same(&one, &other.value(value_of))))
            }
            Self::Choice(condition, yes, no) => {
                if condition.holds(value_of) {
                    yes.value(value_of)
                } else {
                    no.value(value_of)
                }
            }
            Self::Call(function, arguments) => {
                let numbers = arguments.iter().map(|argument| number(&argument.value(value_of)));
                Value::from(call(*function, numbers))
            }
        }
    }

    /// Every name in it.
    pub fn names(&self, found: &mut Vec<String>) {
        match self {
            Self::Name(name) => found.push(name.clone()),
            Self::Number(_) | Self::Text(_) => {}
            Self::Unary(_, of) => of.names(found),
            Self::Binary(_, one, other) => {
                one.names(found);
                other.names(found);
            }
            Self::In(one, others) => {
                one.names(found);
                others.iter().for_each(|other| other.names(found));
            }
            Self::Choice(one, two, three) => [one, two, three].iter().for_each(|part| part.names(found)),
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.names(found)),
        }
    }
}

fn call(function: Function, mut numbers: impl Iterator<Item = f64>) -> f64 {
    match function {
        Function::Max => numbers.fold(f64::NEG_INFINITY, f64::max),
        Function::Min => numbers.fold(f64::INFINITY, f64::min),
        one => {
            let number = numbers.next().unwrap_or(f64::NAN);
            match one {
                Function::Abs => number.abs(),
                Function::Ceil => number.ceil(),
                Function::Floor => number.floor(),
                Function::Round => number.round(),
                _ => number.sqrt(),
            }
        }
    }
}

fn operate(operation: Binary, one: &Value, other: &Value) -> Value {
    if let (Binary::Plus, true) = (operation, one.is_string() || other.is_string()) {
        return Value::from(super::template::text_of(one) + &super::template::text_of(other));
    }
    let (left, right) = (number(one), number(other));
    match operation {
        Binary::Equal => Value::from(same(one, other)),
        Binary::NotEqual => Value::from(!same(one, other)),
        Binary::Matches => {
            let pattern = fancy_regex::Regex::new(&super::template::text_of(other));
            let text = super::template::text_of(one);
            Value::from(pattern.is_ok_and(|pattern| pattern.is_match(&text).unwrap_or(false)))
        }
        Binary::Less => Value::from(left < right),
        Binary::LessOrEqual => Value::from(left <= right),
        Binary::Greater => Value::from(left > right),
        Binary::GreaterOrEqual => Value::from(left >= right),
        Binary::Plus => Value::from(left + right),
        Binary::Minus => Value::from(left - right),
        Binary::Times => Value::from(left * right),
        Binary::Divide => Value::from(left / right),
        Binary::Remainder => Value::from(left.rem_euclid(right)),
        Binary::Power => Value::from(left.powf(right)),
        Binary::And => Value::from(truth(one) && truth(other)),
        Binary::Or => Value::from(truth(one) || truth(other)),
    }
}

/// Equal in JavaScript's loose sense: numbers and texts of numbers are the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one == other,
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Number(_) | Value::Bool(_), _) | (_, Value::Number(_) | Value::Bool(_)) => number(one) == number(other),
        _ => one == other,
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// Whether JavaScript takes a value for true.
#[must_use]
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0 && !number.is_nan()),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Name(String),
    Sign(&'static str),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "`{number}`"),
            Self::Text(text) => write!(f, "`\"{text}\"`"),
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Sign(sign) => write!(f, "`{sign}`"),
        }
    }
}

const SIGNS: [&str; 18] =
    ["==", "!=", "<=", ">=", "~=", "<", ">", "+", "-", "*", "/", "%", "^", "(", ")", ",", "?", ":"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or_else(|| format!("`{text}`: the quotation mark is not closed"))? + 1;
            let inside = rest[1..end].to_owned();
            tokens.push(if first == '"' { Token::Text(inside) } else { Token::Name(inside) });
            end + 1
        } else if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let number = rest[..end].parse().map_err(|_| format!("`{text}`: `{}` is no number", &rest[..end]))?;
            tokens.push(Token::Number(number));
            end
        } else if first.is_alphabetic() || first == '_' || first == '$' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "_$.".contains(c))).unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..end].to_owned()));
            end
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else {
            let instead = match first {
                '&' => ": write `and`",
                '|' => ": write `or`",
                '!' => ": write `not`",
                '=' => ": write `==`",
                _ => "",
            };
            return Err(format!("`{text}`: `{first}` is not expected there{instead}"));
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser<I: Iterator<Item = Token>> {
    tokens: Peekable<I>,
    depth: usize,
}

impl<I: Iterator<Item = Token>> Parser<I> {
    fn sign(&mut self, sign: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Sign(found) if *found == sign)).is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Name(found) if found == word)).is_some()
    }

    fn need(&mut self, sign: &str) -> Result<(), String> {
        if self.sign(sign) { Ok(()) } else { Err(format!("`{sign}` is missing")) }
    }

    fn choice(&mut self) -> Result<Formula, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("more than {DEPTH} levels"));
        }
        let condition = self.binary(0)?;
        let formula = if self.sign("?") {
            let yes = self.choice()?;
            self.need(":")?;
            Formula::Choice(Box::new(condition), Box::new(yes), Box::new(self.choice()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(formula)
    }

    /// Operations of `level` and above: the higher, the tighter they bind.
    fn binary(&mut self, level: usize) -> Result<Formula, String> {
        const LEVELS: [&[(&str, Binary)]; 6] = [
            &[("or", Binary::Or)],
            &[("and", Binary::And)],
            &[
                ("==", Binary::Equal),
                ("!=", Binary::NotEqual),
                ("<=", Binary::LessOrEqual),
                (">=", Binary::GreaterOrEqual),
                ("~=", Binary::Matches),
                ("<", Binary::Less),
                (">", Binary::Greater),
            ],
            &[("+", Binary::Plus), ("-", Binary::Minus)],
            &[("*", Binary::Times), ("/", Binary::Divide), ("%", Binary::Remainder)],
            &[("^", Binary::Power)],
        ];
        let Some(operations) = LEVELS.get(level) else { return self.unary() };
        let mut formula = self.binary(level + 1)?;
        'next: loop {
            for (name, operation) in *operations {
                if self.sign(name) || self.word(name) {
                    let right = self.binary(level + 1)?;
                    formula = Formula::Binary(*operation, Box::new(formula), Box::new(right));
                    continue 'next;
                }
            }
            if level == 2 {
                if self.word("in") {
                    formula = Formula::In(Box::new(formula), self.members()?);
                    continue;
                }
                if self.word("not") {
                    if !self.word("in") {
                        return Err("`in` is missing after `not`".to_owned());
                    }
                    let within = Formula::In(Box::new(formula), self.members()?);
                    formula = Formula::Unary(Unary::Not, Box::new(within));
                    continue;
                }
            }
            return Ok(formula);
        }
    }

    fn members(&mut self) -> Result<Vec<Formula>, String> {
        self.need("(")?;
        self.list()
    }

    fn list(&mut self) -> Result<Vec<Formula>, String> {
        let mut members = vec![self.choice()?];
        while self.sign(",") {
            members.push(self.choice()?);
        }
        self.need(")")?;
        Ok(members)
    }

    fn unary(&mut self) -> Result<Formula, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("more than {DEPTH} levels"));
        }
        let formula = if self.word("not") {
            Formula::Unary(Unary::Not, Box::new(self.unary()?))
        } else if self.sign("-") {
            Formula::Unary(Unary::Minus, Box::new(self.unary()?))
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(formula)
    }

    fn primary(&mut self) -> Result<Formula, String> {
        match self.tokens.next() {
            Some(Token::Number(number)) => Ok(Formula::Number(number)),
            Some(Token::Text(text)) => Ok(Formula::Text(text)),
            Some(Token::Name(name)) if self.sign("(") => {
                let function = match name.as_str() {
                    "abs" => Function::Abs,
                    "ceil" => Function::Ceil,
                    "floor" => Function::Floor,
                    "max" => Function::Max,
                    "min" => Function::Min,
                    "round" => Function::Round,
                    "sqrt" => Function::Sqrt,
                    _ => return Err(format!("unknown function `{name}`: known are abs ceil floor max min round sqrt")),
                };
                Ok(Formula::Call(function, self.list()?))
            }
            Some(Token::Name(name)) => Ok(Formula::Name(name)),
            Some(Token::Sign("(")) => {
                let formula = self.choice()?;
                self.need(")")?;
                Ok(formula)
            }
            Some(token) => Err(format!("{token} is not expected there")),
            None => Err("the expression ends too early".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_hold_as_in_filtrex() {
        let values = json!({ "http.codes.200": 12, "vusers.failed": 0, "name": "하루", "n": "5", "list": 3, "a-b": 1 });
        let value_of = |name: &str| values.get(name).cloned();
        for (text, holds) in [
            ("http.codes.200 >= 12 and vusers.failed == 0", true),
            ("http.codes.200 < 12 or vusers.failed > 0", false),
            ("not (vusers.failed > 0)", true),
            ("n == 5", true),
            ("name == \"하루\"", true),
            ("name in (\"a\", \"하루\")", true),
            ("list not in (1, 2)", true),
            ("1 + 2 * 3 == 7", true),
            ("2 ^ 3 == 8 and 7 % 4 == 3", true),
            ("-1 < 0", true),
            ("missing > 0", false),
            ("missing", false),
            ("'a-b' == 1", true),
            ("list > 2 ? 1 : 0", true),
            ("max(1, list, 2) == 3 and round(2.5) == 3", true),
            ("name ~= \"^하\"", true),
        ] {
            assert_eq!(Formula::compile(text).map(|formula| formula.holds(&value_of)), Ok(holds), "{text}");
        }
    }

    #[test]
    fn wrong_expressions_say_what_to_write() {
        for (text, says) in [
            ("a && b", "write `and`"),
            ("a || b", "write `or`"),
            ("a = 1", "write `==`"),
            ("(a", "`)` is missing"),
            ("a b", "not expected"),
            ("a <", "too early"),
            ("foo(1)", "unknown function"),
            ("\"x", "not closed"),
            ("", "too early"),
        ] {
            let error = Formula::compile(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(Formula::compile(&"(".repeat(1000)).unwrap_err().contains("64 levels"));
        assert!(Formula::compile(&"not ".repeat(1000)).unwrap_err().contains("64 levels"));
    }
}
