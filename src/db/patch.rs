//! Which columns of a row change, and to what.

/// Defines the patch of a row type: `None` leaves a column, and a nullable column takes `Some(None)` to clear it.
///
/// The columns named here are those that a caller can write; the row's other columns never count as a difference.
macro_rules! patch {
    ($(#[$doc:meta])* $Patch:ident of $Row:ident in $table:ident { $($column:ident: $Type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, AsChangeset)]
        #[diesel(table_name = $table)]
        pub struct $Patch {
            $(pub $column: Option<$Type>,)*
        }

        impl $Patch {
            /// What turns `old` into `new`.
            pub fn between(old: &$Row, new: &$Row) -> Self {
                Self { $($column: (old.$column != new.$column).then(|| new.$column.clone()),)* }
            }

            /// What of this patch would change `row`.
            pub fn effect_on(&self, row: &$Row) -> Self {
                Self { $($column: self.$column.clone().filter(|value| *value != row.$column),)* }
            }

            /// Whether nothing changes.
            pub fn is_empty(&self) -> bool {
                $(self.$column.is_none())&&*
            }
        }
    };
}

pub(super) use patch;
