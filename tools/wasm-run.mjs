// Runs a WebAssembly program under Node.js with one directory mounted as /guest.
//   node wasm-run.mjs PROGRAM DIRECTORY ARGUMENTS...
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const [program, directory, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: ['isola-step', ...args], preopens: { '/guest': directory } });
const module = await WebAssembly.compile(await readFile(program));
// Node.js 18 has no getImportObject.
const imports = { wasi_snapshot_preview1: wasi.wasiImport };
const instance = await WebAssembly.instantiate(module, imports);
const status = wasi.start(instance);
process.exit(status);
