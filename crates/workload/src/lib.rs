//! The work that guest workers perform, one file a work type.
