// The pages as one script, one style sheet and index.html: node build.mjs PAGES NODE-DIRECTORY OUT.
// Names carry hashes, so that browsers keep them for good; each file lies there compressed as well.
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

const [pages, modules, out] = process.argv.slice(2).map(path => resolve(path));
const { build } = createRequire(join(modules, 'package.json'))('esbuild');
const fresh = `${out}.new`;
rmSync(fresh, { recursive: true, force: true });
mkdirSync(fresh, { recursive: true });

const { metafile } = await build({
  entryPoints: { app: join(pages, 'src/main.ts'), look: join(pages, 'styles/main.css') },
  outdir: fresh,
  entryNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  metafile: true,
  format: 'esm',
  target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
  logLevel: 'warning',
});
const made = ending => basename(Object.keys(metafile.outputs).find(name => name.endsWith(ending)));
const page = readFileSync(join(pages, 'index.html'), 'utf8')
  .replaceAll('{{script}}', `shell/${made('.js')}`)
  .replaceAll('{{style}}', `shell/${made('.css')}`);
writeFileSync(join(fresh, 'index.html'), page);
writeFileSync(join(fresh, 'mark.svg'), readFileSync(join(pages, 'mark.svg')));
for (const name of readdirSync(fresh))
  writeFileSync(join(fresh, `${name}.gz`), gzipSync(readFileSync(join(fresh, name)), { level: 9 }));
rmSync(out, { recursive: true, force: true });
renameSync(fresh, out);
