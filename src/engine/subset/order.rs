//! The `ORDER BY` of a subset: read from a client's text, and written anew from what was read.
//!
//! A boundary: an expression here could read what its client may not see, or do anything that a function can. So the text is cut into
//! tokens and never looked at again. What comes out is made of names of columns that the client may query, quoted by us, and
//! of our own keywords.
//!
//! ```text
//! list  = item { "," item }
//! item  = reference [ ASC | DESC ] [ NULLS ( FIRST | LAST ) ]
//! reference = column | ordinal | "(" reference ")"
//! ```

use std::collections::BTreeSet;
use std::fmt::Write;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, Tokenizer, Word};

use crate::engine::filter::is_reserved;
use crate::shape::quote_identifier;

#[cfg(test)]
mod tests;

/// The longest list, in bytes.
const MAX_BYTES: usize = 65_536;
/// Positions in errors count from the beginning of `SELECT 1 ORDER BY `.
const PREFIX: usize = 18;

/// What a list may name.
pub struct Sortable<'a> {
    /// The columns that the client may query.
    pub columns: BTreeSet<&'a str>,
    /// Those that it selects, in the order in which they are shown: ordinals count them from 1.
    pub selected: Vec<&'a str>,
}

/// A checked list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    /// What follows `ORDER BY`.
    pub sql: String,
    /// The columns that it names, each once.
    pub columns: BTreeSet<String>,
}

impl OrderBy {
    /// Reads a list.
    ///
    /// # Errors
    /// The text for `errors.subset.order_by` (protocol, 9.3).
    pub fn parse(text: &str, sortable: &Sortable<'_>) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the list is bigger than maximum size of {MAX_BYTES} bytes"));
        }
        let tokens = tokens(text)?;
        if tokens.iter().any(|placed| placed.token == Token::SemiColon) {
            return Err("Unexpected `;` in order by".into());
        }
        let mut reader = Reader { tokens: &tokens, next: 0, end: text.chars().count() };
        let mut list = Self { sql: String::new(), columns: BTreeSet::new() };
        loop {
            list.add(reader.item(sortable)?);
            match reader.take() {
                None => return Ok(list),
                Some(token) if *token == Token::Comma => {}
                Some(_) => unreachable!("an item ends before a comma or at the end"),
            }
        }
    }

    /// A column that is there already decides nothing more.
    fn add(&mut self, item: Item) {
        if self.columns.contains(&item.column) {
            return;
        }
        let comma = if self.sql.is_empty() { "" } else { ", " };
        let descending = if item.descending { " DESC" } else { "" };
        let nulls = match item.nulls_first {
            None => "",
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
        };
        let name = quote_identifier(&item.column);
        write!(self.sql, "{comma}{name}{descending}{nulls}").expect("a String takes all text");
        self.columns.insert(item.column);
    }
}

/// One member of a list.
struct Item {
    column: String,
    descending: bool,
    nulls_first: Option<bool>,
}

/// A token, and where it begins, in characters.
struct Placed {
    token: Token,
    at: usize,
}

/// The tokens without blanks and comments.
fn tokens(text: &str) -> Result<Vec<Placed>, String> {
    let breaks = text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(at, _)| at + 1);
    let line_starts: Vec<usize> = std::iter::once(0).chain(breaks).collect();
    let offset = |location: Location| {
        let index = |number: u64| usize::try_from(number).unwrap_or_default().saturating_sub(1);
        line_starts.get(index(location.line)).copied().unwrap_or_default() + index(location.column)
    };
    let read = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location();
    let read = read.map_err(|error| error_at(offset(error.location), error.message))?;
    let read = read.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    Ok(read.map(|token| Placed { at: offset(token.span.start), token: token.token }).collect())
}

fn error_at(at: usize, message: impl std::fmt::Display) -> String {
    format!("At location {}: {message}", at + PREFIX)
}

/// Reads tokens from the first to the last, each once: a text of any depth costs no stack.
struct Reader<'a> {
    tokens: &'a [Placed],
    next: usize,
    /// Where the text ends.
    end: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|placed| &placed.token)
    }

    fn take(&mut self) -> Option<&Token> {
        let taken = self.tokens.get(self.next).map(|placed| &placed.token);
        self.next += 1;
        taken
    }

    fn at(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(self.end, |placed| placed.at)
    }

    /// Takes the next token if it is this sign.
    fn sign(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    /// Takes the next token if it is this word.
    fn word(&mut self, wanted: Keyword) -> bool {
        let found = self.peek().is_some_and(|token| keyword(token) == Some(wanted));
        self.next += usize::from(found);
        found
    }

    /// One member of the list. The next token is then a comma or the end.
    fn item(&mut self, sortable: &Sortable<'_>) -> Result<Item, String> {
        let start = self.next;
        while self.sign(&Token::LParen) {}
        let head = self.next;
        let Some(token) = self.take().cloned() else { return Err(self.syntax_error(head)) };
        let constant = match &token {
            Token::Number(..) | Token::SingleQuotedString(_) => true,
            token => matches!(keyword(token), Some(Keyword::NULL | Keyword::TRUE | Keyword::FALSE)),
        };
        let column = matches!(&token, Token::Word(word) if word.quote_style.is_some() || !is_reserved(&word.value));
        if !constant && !column {
            return Err(self.refusal(start, head));
        }
        for _ in start..head {
            if !self.sign(&Token::RParen) {
                return Err(self.refusal(start, self.next));
            }
        }
        let descending = !self.word(Keyword::ASC) && self.word(Keyword::DESC);
        let nulls_first = if self.word(Keyword::NULLS) { Some(self.word(Keyword::FIRST)) } else { None };
        if (nulls_first == Some(false) && !self.word(Keyword::LAST))
            || !matches!(self.peek(), None | Some(Token::Comma))
        {
            return Err(self.refusal(start, self.next));
        }
        let column = match &token {
            Token::Word(word) if !constant => self.column(word, head, sortable)?,
            token => ordinal(token, sortable)?,
        };
        Ok(Item { column, descending, nulls_first })
    }

    fn column(&self, word: &Word, at: usize, sortable: &Sortable<'_>) -> Result<String, String> {
        let name = match word.quote_style {
            Some(_) => word.value.clone(),
            None => word.value.to_ascii_lowercase(),
        };
        if sortable.columns.contains(name.as_str()) {
            return Ok(name);
        }
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let shown = if plain { name } else { quote_identifier(&name) };
        Err(error_at(self.at(at), format_args!("unknown reference {shown}")))
    }

    fn syntax_error(&self, token: usize) -> String {
        match self.tokens.get(token) {
            Some(placed) => error_at(placed.at, format_args!("syntax error at or near \"{}\"", placed.token)),
            None => error_at(self.end, "syntax error at end of input"),
        }
    }

    /// Why the item that begins at token `start` cannot go on at token `stop`: what its expression is, as far as tokens tell.
    fn refusal(&self, start: usize, stop: usize) -> String {
        let item = self.tokens_of(start);
        let parameter = item.iter().find_map(|placed| match &placed.token {
            Token::Placeholder(name) => Some((placed.at, name)),
            _ => None,
        });
        if let Some((at, name)) = parameter {
            return error_at(at, format_args!("parameter {name} is not supported in ORDER BY clauses"));
        }
        let first = item.iter().position(|placed| placed.token != Token::LParen).unwrap_or(item.len());
        let [head, tail @ ..] = &item[first..] else { return self.syntax_error(stop) };
        if let (Token::Word(word), [Placed { token: Token::Period, .. }, name, ..]) = (&head.token, tail) {
            return error_at(head.at, format_args!("unknown reference {word}.{}", name.token));
        }
        if let Some(node) = node(&head.token, tail) {
            return error_at(head.at, format_args!("{node} expressions are not allowed in ORDER BY clauses"));
        }
        match self.tokens.get(stop).and_then(|placed| keyword(&placed.token)) {
            Some(word) if is_clause(word) => "malformed query ending with SQL clauses".into(),
            _ => self.syntax_error(stop),
        }
    }

    /// The tokens up to the comma that ends the item.
    fn tokens_of(&self, start: usize) -> &[Placed] {
        let mut depth = 0_usize;
        let rest = self.tokens.get(start..).unwrap_or_default();
        let comma = rest.iter().position(|placed| {
            match placed.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && placed.token == Token::Comma
        });
        &rest[..comma.unwrap_or(rest.len())]
    }
}

/// A constant: the number of a selected column, as Postgres counts them.
fn ordinal(token: &Token, sortable: &Sortable<'_>) -> Result<String, String> {
    let digits = match token {
        Token::Number(digits, false) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits,
        _ => return Err("non-integer constant in ORDER BY".into()),
    };
    let place = digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let column = place.and_then(|place| sortable.selected.get(place));
    column.map(|name| (*name).to_owned()).ok_or_else(|| format!("ORDER BY position {digits} is not in select list"))
}

/// The name of Postgres' node for an expression that begins with these tokens, if it is none that a list may have.
fn node(head: &Token, tail: &[Placed]) -> Option<&'static str> {
    let called = tail.first().is_some_and(|placed| placed.token == Token::LParen);
    let has = |wanted: &dyn Fn(&Token) -> bool| tail.iter().any(|placed| wanted(&placed.token));
    let named = match keyword(head) {
        Some(Keyword::CASE) => Some("CaseExpr"),
        Some(Keyword::CAST) if called => Some("TypeCast"),
        Some(Keyword::SELECT | Keyword::VALUES | Keyword::WITH | Keyword::TABLE | Keyword::EXISTS) => Some("SubLink"),
        Some(Keyword::COALESCE) if called => Some("CoalesceExpr"),
        Some(Keyword::NULLIF) if called => Some("A_Expr"),
        Some(Keyword::ARRAY) if called => Some("SubLink"),
        Some(Keyword::ARRAY) => Some("A_ArrayExpr"),
        Some(Keyword::ROW) if called => Some("RowExpr"),
        Some(Keyword::NOT) => Some("BoolExpr"),
        _ => None,
    };
    let one_of_two = |word: &Word| ["greatest", "least"].contains(&word.value.to_ascii_lowercase().as_str());
    let value = |word: &Word| {
        let name = word.value.to_ascii_lowercase();
        ["current_", "session_user", "system_user", "localtime"].iter().any(|start| name.starts_with(start))
            || name == "user"
    };
    let sign = |token: &Token| {
        let plain = matches!(token, Token::Word(_) | Token::Number(..) | Token::Comma | Token::LParen | Token::RParen);
        !plain && !matches!(token, Token::Period | Token::SingleQuotedString(_) | Token::Char(_) | Token::Backslash)
    };
    match head {
        _ if named.is_some() => named,
        Token::Word(word) if called && one_of_two(word) => Some("MinMaxExpr"),
        Token::Word(_) if called => Some("FuncCall"),
        Token::Word(word) if word.quote_style.is_none() && is_reserved(&word.value) && value(word) => {
            Some("SQLValueFunction")
        }
        _ if has(&|token| *token == Token::DoubleColon) => Some("TypeCast"),
        _ if has(&|token| keyword(token) == Some(Keyword::COLLATE)) => Some("CollateClause"),
        _ if has(&|token| *token == Token::LBracket) => Some("A_Indirection"),
        _ if has(&|token| matches!(keyword(token), Some(Keyword::AND | Keyword::OR))) => Some("BoolExpr"),
        head if sign(head) || has(&sign) => Some("A_Expr"),
        _ => None,
    }
}

/// A word that is not quoted.
fn keyword(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

/// Whether a word begins what may follow an `ORDER BY` in a query.
fn is_clause(word: Keyword) -> bool {
    use Keyword::*;
    matches!(word, LIMIT | OFFSET | FETCH | FOR | UNION | INTERSECT | EXCEPT | GROUP | HAVING | WINDOW | WHERE | ORDER)
}
