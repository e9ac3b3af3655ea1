// Where the assets are, under the digest that these very scripts came by.

export const assets = new URL(".", import.meta.url).pathname.replace(/\/$/, "");
