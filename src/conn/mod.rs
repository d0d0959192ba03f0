//! Floor 4: the manners of one connection.
