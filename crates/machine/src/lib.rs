//! What a backend must do: the Machine trait, its events and answers.
