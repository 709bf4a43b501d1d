import type { Backend, Executor } from '../../src/backends/types.ts';
import { type WebgpuHost, type WebgpuOverrides, webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { changedAdapter } from './null_device.ts';

// Where Dawn's own checks of indices are off (src/runtime/host.node.ts), an index must be right. Here every index into an
// array of a binding or of workgroup memory is compared with its length; what is outside is told, and pulled back in.

const STORAGE_BUFFERS = 10; // a stage: those of the kernel, and the one that is told
const [COPY_SRC, COPY_DST, STORAGE, MAP_READ] = [4, 8, 128, 1];

const VARIABLE = /var<(?:storage|workgroup)[^>]*> (\w+): array<([^;]*)>;/g;
const STRUCT = /var<storage[^>]*> \w+: (?:array<)?([A-Z]\w+)/g; // in a binding
const MEMBER = /(\w+): array<([^\n]*)>,/g;

/** WGSL that tells in `outside` which of `sites` indexed beyond an array; sites are added. */
export function withChecks(code: string, sites: string[]): string {
  let checked = code;
  for (const [, name, inner] of code.matchAll(VARIABLE)) {
    const length = lengthOf(inner!) ?? `arrayLength(&${name})`;
    checked = checkIndices(checked, `(?<![.\\w])${name}`, length, sites);
  }
  for (const [, type] of code.matchAll(STRUCT))
    for (const [, name, inner] of code.match(`struct ${type} {[^}]*}`)![0].matchAll(MEMBER))
      checked = checkIndices(checked, `\\.${name}`, lengthOf(inner!)!, sites);
  const [enables, rest] = split(checked);
  return `${enables}
@group(1) @binding(0) var<storage, read_write> outside: atomic<u32>;
fn inside(i: u32, length: u32, site: u32) -> u32 {
  if (i >= length) { atomicMax(&outside, site); }
  return min(i, length - 1u);
}
${rest}`;
}

/** What follows the last comma outside brackets: 'vec4<f32>, A * B' has a length, 'vec4<f32>' none. */
function lengthOf(inner: string): string | null {
  let depth = 0;
  for (let i = inner.length - 1; i >= 0; i--) {
    if (inner[i] === '>' || inner[i] === ')') depth++;
    if (inner[i] === '<' || inner[i] === '(') depth--;
    if (inner[i] === ',' && depth === 0) return inner.slice(i + 1).trim();
  }
  return null;
}

/** Of what matches `array`. */
function checkIndices(code: string, array: string, length: string, sites: string[]): string {
  const start = new RegExp(`${array}\\[`, 'g');
  let result = '';
  let at = 0;
  for (let match = start.exec(code); match; match = start.exec(code)) {
    const begin = match.index + match[0].length;
    let end = begin;
    for (let depth = 1; depth > 0; end++) depth += code[end] === '[' ? 1 : code[end] === ']' ? -1 : 0;
    const index = code.slice(begin, end - 1);
    const within = checkIndices(index, array, length, sites);
    sites.push(`${match[0]}${index}] of ${length}`);
    result += `${code.slice(at, begin)}inside(${within}, ${length}, ${sites.length}u)`;
    at = end - 1;
    start.lastIndex = end;
  }
  return result + code.slice(at);
}

/** Directives come first. */
function split(code: string): [string, string] {
  const lines = code.split('\n');
  const count = lines.findIndex((line) => !/^(enable|requires) /.test(line));
  return [lines.slice(0, count).join('\n'), lines.slice(count).join('\n')];
}

/** A backend whose kernels check their indices; `outside` gets those that were beyond an array. */
export function boundsChecked(
  host: WebgpuHost,
  overrides: WebgpuOverrides = {},
): { backend: Backend; outside: Set<string> } {
  const outside = new Set<string>();
  const sites: string[] = [];
  let latest: { device: GPUDevice; word: GPUBuffer } | undefined;
  const checked = changedAdapter(host, (adapter) => {
    const request = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const limits = { ...descriptor?.requiredLimits, maxStorageBuffersPerShaderStage: STORAGE_BUFFERS };
      const device = await request({ ...descriptor, requiredLimits: limits });
      latest = { device, word: checkDevice(device, sites) };
      return device;
    };
  });
  const backend = webgpuBackend(checked, { software: true, ...overrides });
  return {
    outside,
    backend: {
      ...backend,
      async create(...args): Promise<Executor> {
        const executor = await backend.create(...args);
        const { device, word } = latest!;
        const dispose = executor.dispose.bind(executor);
        executor.dispose = async () => {
          const site = await readWord(device, word);
          if (site > 0) outside.add(sites[site - 1]!);
          await dispose();
        };
        return executor;
      },
    },
  };
}

/** Returns the buffer with the number of a site, from 1, that was outside; 0: none. */
function checkDevice(device: GPUDevice, sites: string[]): GPUBuffer {
  const word = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
  const layout = device.createBindGroupLayout({
    entries: [{ binding: 0, visibility: 4, buffer: { type: 'storage' } }],
  });
  const group = device.createBindGroup({
    layout,
    entries: [{ binding: 0, resource: { buffer: word } }],
  });
  const createShaderModule = device.createShaderModule.bind(device);
  device.createShaderModule = ({ code, ...rest }) =>
    createShaderModule({ ...rest, code: withChecks(code, sites) });
  const createPipelineLayout = device.createPipelineLayout.bind(device);
  device.createPipelineLayout = ({ bindGroupLayouts }) =>
    createPipelineLayout({ bindGroupLayouts: [...bindGroupLayouts, layout] });
  const createCommandEncoder = device.createCommandEncoder.bind(device);
  device.createCommandEncoder = () => {
    const encoder = createCommandEncoder();
    const begin = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (descriptor) => {
      const pass = begin(descriptor);
      pass.setBindGroup(1, group);
      return pass;
    };
    return encoder;
  };
  return word;
}

async function readWord(device: GPUDevice, buffer: GPUBuffer): Promise<number> {
  const staging = device.createBuffer({ size: 4, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, 4);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const [word] = new Uint32Array(staging.getMappedRange());
  return word!;
}
