//! The text of a condition to a syntax tree. The tree is sqlparser's; this file makes sure that it is the tree that Postgres
//! would build: the same words are literals, and no operator binds differently.

mod lexis;
mod precedence;

use sqlparser::ast::{Expr, Spanned};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use self::lexis::{Touching, apart, hides_comment, is_number, joins_differently};
use super::FilterError;

/// The longest condition, in bytes.
pub const MAX_BYTES: usize = 65_536;
/// The deepest nesting of parentheses and prefix operators that sqlparser follows.
const MAX_DEPTH: usize = 100;
/// Syntax errors count from the beginning of `SELECT 1 WHERE `.
const PREFIX: usize = 15;

/// A parsed condition with the positions of its tokens.
pub struct Parsed {
    pub tree: Expr,
    pub tokens: Tokens,
}

/// The tokens without blanks. In the tree, a span's column is a token's index + 1.
pub struct Tokens {
    list: Vec<Token>,
    /// Where each begins, in characters; one more for the end.
    starts: Vec<usize>,
    /// Each BETWEEN that has SYMMETRIC behind it, which is no token of its own here.
    symmetric: Vec<usize>,
}

impl Tokens {
    /// The first token of a tree's node.
    pub fn first(&self, expr: &Expr) -> usize {
        index_of(expr.span().start)
    }

    /// Where the first token of a node begins, in characters.
    pub fn start(&self, expr: &Expr) -> usize {
        self.offset(self.first(expr))
    }

    pub fn offset(&self, token: usize) -> usize {
        self.starts.get(token).copied().unwrap_or_default()
    }

    /// Where the first of `wanted` begins behind the node `left`.
    pub fn after(&self, left: &Expr, wanted: impl Fn(&Token) -> bool) -> usize {
        let end = index_of(left.span().end) + 1;
        let found = (end..self.list.len()).find(|index| self.list.get(*index).is_some_and(&wanted));
        self.offset(found.unwrap_or(end))
    }

    /// Whether the BETWEEN behind the node `value` is a BETWEEN SYMMETRIC.
    pub fn is_symmetric(&self, value: &Expr) -> bool {
        let end = index_of(value.span().end) + 1;
        let between = (end..self.list.len()).find(|index| self.list.get(*index).is_some_and(is_between));
        between.is_some_and(|index| self.symmetric.contains(&index))
    }

    /// Where the nearest of `wanted` before the node `operand` begins.
    pub fn before(&self, operand: &Expr, wanted: impl Fn(&Token) -> bool) -> usize {
        let first = self.first(operand);
        let found = (0..first).rev().find(|index| self.list.get(*index).is_some_and(&wanted));
        self.offset(found.unwrap_or(first))
    }
}

impl Tokens {
    /// Whether there is an operator that Postgres does not have by itself.
    pub fn have_foreign_operator(&self) -> bool {
        self.list.iter().any(|token| matches!(token, Token::CustomBinaryOperator(_)))
    }

    /// Notes a SYMMETRIC behind BETWEEN, which sqlparser does not know; ASYMMETRIC says nothing new.
    fn takes_symmetry(&mut self, token: &Token) -> bool {
        let Token::Word(word) = token else { return false };
        if word.quote_style.is_some() || !self.list.last().is_some_and(is_between) {
            return false;
        }
        if word.keyword == Keyword::SYMMETRIC {
            self.symmetric.push(self.list.len() - 1);
        }
        matches!(word.keyword, Keyword::SYMMETRIC | Keyword::ASYMMETRIC)
    }
}

fn is_between(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.keyword == Keyword::BETWEEN && word.quote_style.is_none())
}

fn index_of(location: Location) -> usize {
    usize::try_from(location.column).unwrap_or_default().saturating_sub(1)
}

/// An error at a character of the given text.
pub fn error_at(offset: usize, message: impl std::fmt::Display) -> FilterError {
    FilterError::in_where(format!("At location {offset}: {message}"))
}

/// Parses the whole text as one expression.
pub fn parse(text: &str) -> Result<Parsed, FilterError> {
    if text.len() > MAX_BYTES {
        let message = format!("the condition is bigger than maximum size of {MAX_BYTES} bytes");
        return Err(FilterError::in_where(message));
    }
    if text.contains('\0') {
        return Err(FilterError::in_where("the character U+0000 is not allowed"));
    }
    let source = Source::new(text);
    let tokens = source.tokens()?;
    let spanned = spanned(&tokens.list);
    let mut parser =
        Parser::new(&PostgreSqlDialect {}).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(spanned);
    let tree = parser.parse_expr().map_err(|error| source.syntax_error(&tokens, &error))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(source.trailing(&tokens, &next));
    }
    // Behind a subscript sqlparser takes `NOT NULL` for `IS NOT NULL`.
    let alone = tokens.list.windows(3).position(|three| {
        let keyword = |token: &Token, wanted| matches!(token, Token::Word(word) if word.keyword == wanted && word.quote_style.is_none());
        matches!(three[0], Token::RBracket | Token::RParen) && keyword(&three[1], Keyword::NOT) && keyword(&three[2], Keyword::NULL)
    });
    if let Some(index) = alone {
        return Err(source.near_token(&tokens, index + 1));
    }
    precedence::check(&tree, &tokens)?;
    Ok(Parsed { tree, tokens })
}

fn spanned(list: &[Token]) -> Vec<TokenWithSpan> {
    let at = |index: usize| {
        let location = Location { line: 1, column: index as u64 + 1 };
        Span { start: location, end: location }
    };
    list.iter().enumerate().map(|(index, token)| TokenWithSpan { token: token.clone(), span: at(index) }).collect()
}

/// The text with its characters indexed.
struct Source {
    characters: Vec<char>,
    line_starts: Vec<usize>,
}

impl Source {
    fn new(text: &str) -> Source {
        let characters: Vec<char> = text.chars().collect();
        let breaks = characters.iter().enumerate().filter(|(_, c)| **c == '\n').map(|(index, _)| index + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        Source { characters, line_starts }
    }

    fn offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or_default().saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or_default();
        (start + index_of(location)).min(self.characters.len())
    }

    fn slice(&self, start: usize, end: usize) -> String {
        self.characters.get(start..end).map(|part| part.iter().collect()).unwrap_or_default()
    }

    fn error_near(&self, start: usize, end: usize) -> FilterError {
        let near = self.slice(start, end);
        error_at(start + PREFIX, format_args!("syntax error at or near \"{}\"", near.trim_end()))
    }

    fn tokens(&self) -> Result<Tokens, FilterError> {
        let text: String = self.characters.iter().collect();
        let mut tokens = Tokens { list: Vec::new(), starts: Vec::new(), symmetric: Vec::new() };
        let all = Tokenizer::new(&PostgreSqlDialect {}, &text).tokenize_with_location().map_err(|error| {
            let offset = self.offset(error.location);
            error_at(offset + PREFIX, error.message)
        })?;
        let mut before = Touching { end: usize::MAX, number: false, operator: false, special: false };
        for TokenWithSpan { token, span } in all {
            let (start, end) = (self.offset(span.start), self.offset(span.end));
            if matches!(token, Token::Whitespace(_)) {
                continue;
            }
            self.check_token(&token, start, end)?;
            let written = self.slice(start, end);
            if hides_comment(&token, &written) {
                return Err(self.error_near(start, end));
            }
            if joins_differently(&tokens.list, &token) || before.splits_differently(&token, &written, start) {
                return Err(self.error_near(start, end));
            }
            before = before.then(&token, &written, start, end);
            if tokens.takes_symmetry(&token) {
                continue;
            }
            for (index, token) in apart(token, &written).into_iter().enumerate() {
                // The signs follow the operator to the end.
                let at = if index == 0 { start } else { start.max(end - 1) };
                tokens.list.push(token);
                tokens.starts.push(at);
            }
        }
        tokens.starts.push(self.characters.len());
        Ok(tokens)
    }

    /// Refuses tokens that mean something else in Postgres.
    fn check_token(&self, token: &Token, start: usize, end: usize) -> Result<(), FilterError> {
        match token {
            Token::SemiColon => Err(FilterError::in_where("unescaped \";\" causing statement split")),
            Token::Number(digits, long) => {
                let known = !long && is_number(digits) && self.slice(start, end) == *digits;
                if known { Ok(()) } else { Err(self.error_near(start, end)) }
            }
            Token::EscapedStringLiteral(_) if !self.simple_escapes(start, end) => {
                Err(error_at(start, "only the escapes \\\\ \\' \\n \\r \\t \\b \\f are supported"))
            }
            Token::SingleQuotedByteStringLiteral(_) | Token::HexStringLiteral(_) => {
                Err(error_at(start, "BitString values are not supported"))
            }
            Token::UnicodeStringLiteral(_) | Token::NationalStringLiteral(_) => {
                Err(error_at(start, "this form of string is not supported"))
            }
            // Operators of other databases.
            Token::DoubleEq | Token::Spaceship | Token::DuckIntDiv => Err(self.error_near(start, end)),
            _ => Ok(()),
        }
    }

    /// Whether every backslash in `E'..'` begins an escape that means the same to sqlparser.
    fn simple_escapes(&self, start: usize, end: usize) -> bool {
        let mut rest = self.characters.get(start..end).unwrap_or_default().iter();
        while let Some(character) = rest.next() {
            if *character == '\\' && !rest.next().is_some_and(|next| "\\'nrtbf".contains(*next)) {
                return false;
            }
        }
        true
    }

    /// sqlparser's message as Postgres would say it.
    fn syntax_error(&self, tokens: &Tokens, error: &ParserError) -> FilterError {
        let message = match error {
            ParserError::RecursionLimitExceeded => {
                return FilterError::in_where("the condition is nested too deeply");
            }
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        };
        let column = message.rsplit_once("Column: ").and_then(|(_, column)| column.trim().parse::<usize>().ok());
        match column.map(|column| column.saturating_sub(1)) {
            Some(index) if index < tokens.list.len() => self.near_token(tokens, index),
            _ => error_at(self.characters.len() + PREFIX, "syntax error at end of input"),
        }
    }

    fn near_token(&self, tokens: &Tokens, index: usize) -> FilterError {
        let start = tokens.offset(index);
        let end = match tokens.list.get(index) {
            // The text up to the next token may hold a comment.
            Some(Token::Word(word)) => start + word.to_string().chars().count(),
            Some(token) => (start + token.to_string().chars().count()).min(tokens.offset(index + 1)),
            None => start,
        };
        self.error_near(start, end)
    }

    /// The text goes on after a whole expression.
    fn trailing(&self, tokens: &Tokens, next: &TokenWithSpan) -> FilterError {
        use Keyword::*;
        let clause = match &next.token {
            Token::Word(word) if word.quote_style.is_none() => matches!(
                word.keyword,
                GROUP | HAVING | WINDOW | UNION | INTERSECT | EXCEPT | ORDER | LIMIT | OFFSET | FETCH | FOR
            ),
            _ => false,
        };
        if clause {
            return FilterError::in_where("malformed query ending with SQL clauses");
        }
        self.near_token(tokens, index_of(next.span.start))
    }
}

/// Words that Postgres does not take for a column unless they are quoted.
pub fn is_reserved(word: &str) -> bool {
    const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization binary both case cast check \
        collate collation column concurrently constraint create cross current_catalog current_date current_role \
        current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except \
        false fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull \
        join lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or order \
        outer overlaps placing primary references returning right select session_user similar some symmetric \
        system_user table tablesample then to trailing true union unique user using variadic verbose when where window \
        with ";
    RESERVED.contains(&format!(" {} ", word.to_ascii_lowercase()))
}
