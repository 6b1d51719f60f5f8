//! The colours of a page.

#[derive(Debug)]
pub struct Theme {
    /// What the names of its files end in.
    pub name: &'static str,
    pub text: &'static str,
    pub faint: &'static str,
    pub line: &'static str,
    pub ours: &'static str,
    pub others: &'static str,
}

impl Theme {
    pub const LIGHT: Self = Self {
        name: "light",
        text: "#1f2328",
        faint: "#59636e",
        line: "#d1d9e0",
        ours: "#0969da",
        others: "#b6bfc8",
    };

    pub const DARK: Self = Self {
        name: "dark",
        text: "#f0f6fc",
        faint: "#9198a1",
        line: "#3d444d",
        ours: "#4493f8",
        others: "#5b6570",
    };
}
