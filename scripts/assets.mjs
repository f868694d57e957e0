// Puts the third-party front-end files into static/vendor/ (git-ignored), from where the build embeds them.
//
//   node scripts/assets.mjs [--dev]     --dev: also what the tests and checks need (playwright-core, axe-core, …)
//
// Runs `npm ci` only when node_modules does not match package-lock.json. A file whose content has not changed is
// left alone, so that the next build has nothing to do.
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const vendor = join(root, "static", "vendor");
// The icons that templates may use, one a line, by their names in bootstrap-icons.
const icons = join(root, "templates", "components", "icons.txt");

install(process.argv.includes("--dev") ? "dev" : "run");
mkdirSync(vendor, { recursive: true });
write("idiomorph.min.js", read("idiomorph/dist/idiomorph.min.js"));
write("icons.svg", sprite(readFileSync(icons, "utf8").trim().split(/\s+/)));

/** Makes node_modules match the lock file. What was installed for 'dev' serves 'run' too. */
function install(wanted) {
  const stamp = join(modules, ".installed");
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  const installed = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
  if (installed === `${lock} dev` || installed === `${lock} ${wanted}`) return;
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];
  if (wanted === "run") args.push("--omit=dev");
  console.error(`npm ${args.join(" ")}`);
  const npm = spawnSync("npm", args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (npm.error) throw npm.error;
  if (npm.status !== 0) process.exit(npm.status ?? 1);
  writeFileSync(stamp, `${lock} ${wanted}`);
}

/** One SVG file with a symbol for each icon, drawn in the colour of the text around it. */
function sprite(names) {
  const symbols = names.map((name) => {
    const svg = read(`bootstrap-icons/icons/${name}.svg`);
    const [, viewBox, drawing] = /viewBox="([^"]+)"[^>]*>([\s\S]*)<\/svg>/.exec(svg);
    return `<symbol id="${name}" viewBox="${viewBox}" fill="currentColor">${drawing.replace(/\s*\n\s*/g, "")}</symbol>`;
  });
  const licence = "<!-- Bootstrap Icons, MIT licence, copyright The Bootstrap Authors -->";
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${licence}\n${symbols.join("\n")}\n</svg>\n`;
}

function read(path) {
  return readFileSync(join(modules, path), "utf8");
}

function write(name, text) {
  const path = join(vendor, name);
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}
