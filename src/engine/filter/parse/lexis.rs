//! Where sqlparser and Postgres cut a text into other words.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::is_reserved;

/// The token before, where no blank may stand between: Postgres takes as many characters of operators as it can.
pub struct Touching {
    pub end: usize,
    pub number: bool,
    pub operator: bool,
    /// One of its characters, or of those it touches, keeps a `-` or `+` at the end in the operator.
    pub special: bool,
}

impl Touching {
    /// Whether `1or` is junk to Postgres, or `!=-` one operator.
    pub fn splits_differently(&self, token: &Token, written: &str, start: usize) -> bool {
        if start != self.end {
            return false;
        }
        let sign = matches!(token, Token::Minus | Token::Plus);
        let joined = self.operator && is_operator(written) && (self.special || !sign);
        joined || (self.number && matches!(token, Token::Word(_) | Token::Number(..)))
    }

    pub fn then(&self, token: &Token, written: &str, start: usize, end: usize) -> Touching {
        let operator = is_operator(written);
        let kept = self.special && start == self.end;
        let special = operator && (kept || written.contains(|c| "~!@#%^&|`?".contains(c)));
        Touching { end, number: matches!(token, Token::Number(..)), operator, special }
    }
}

/// An operator that sqlparser reads with the sign behind it, such as `<>-`, as Postgres' two; and `x ISNULL` as `x IS NULL`.
pub fn apart(token: Token, written: &str) -> Vec<Token> {
    if let Token::Word(word) = &token
        && word.quote_style.is_none()
    {
        let words: &[&str] = match word.value.to_ascii_uppercase().as_str() {
            "ISNULL" => &["IS", "NULL"],
            "NOTNULL" => &["IS", "NOT", "NULL"],
            _ => return vec![token],
        };
        return words.iter().map(|word| Token::make_keyword(word)).collect();
    }
    let Token::CustomBinaryOperator(_) = &token else { return vec![token] };
    let (operator, sign) = match (written.strip_suffix('-'), written.strip_suffix('+')) {
        (Some(operator), _) => (operator, Token::Minus),
        (_, Some(operator)) => (operator, Token::Plus),
        _ => return vec![token],
    };
    let operator = match operator {
        "<>" => Token::Neq,
        "<" => Token::Lt,
        "<=" => Token::LtEq,
        ">" => Token::Gt,
        ">=" => Token::GtEq,
        "=" => Token::Eq,
        "*" => Token::Mul,
        "/" => Token::Div,
        "+" => Token::Plus,
        "-" => Token::Minus,
        _ => return vec![token],
    };
    vec![operator, sign]
}

/// Whether a comment begins in a token for Postgres, whose operators end there, and none for sqlparser: `>--` is one operator to it,
/// and what is behind is text to the one and a comment to the other.
pub fn hides_comment(token: &Token, written: &str) -> bool {
    let is_quoted = matches!(token, Token::Word(word) if word.quote_style.is_some());
    !is_quoted && !is_string(token) && (written.contains("--") || written.contains("/*"))
}

fn is_operator(written: &str) -> bool {
    written.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c))
}

/// Whether sqlparser makes more of a token and those before it than Postgres does.
pub fn joins_differently(before: &[Token], token: &Token) -> bool {
    let keyword = |token: &Token, keyword: Keyword| matches!(token, Token::Word(word) if word.keyword == keyword);
    match before {
        // A type has no empty list of modifiers.
        [.., sign, Token::Word(_), Token::LParen] if *token == Token::RParen => {
            *sign == Token::DoubleColon || keyword(sign, Keyword::AS)
        }
        // Postgres joins strings only across a line break.
        [.., last] if is_string(last) && is_string(token) => true,
        // `x NOT NULL` is a constraint, and no test.
        [.., operand, not] => keyword(token, Keyword::NULL) && keyword(not, Keyword::NOT) && ends_operand(operand),
        _ => false,
    }
}

fn ends_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            let literal = matches!(word.keyword, Keyword::NULL | Keyword::TRUE | Keyword::FALSE);
            word.quote_style.is_some() || literal || !is_reserved(&word.value)
        }
        Token::Number(..) | Token::RParen | Token::RBracket | Token::Placeholder(_) => true,
        token => is_string(token),
    }
}

/// `1`, `1.`, `.5`, `1.5`, each with an optional exponent.
pub fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let some = !whole.is_empty() || !fraction.is_empty();
    some && digits(whole) && digits(fraction) && exponent.is_none_or(|part| !part.is_empty() && digits(part))
}

fn is_string(token: &Token) -> bool {
    matches!(token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_))
}
