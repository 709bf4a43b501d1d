import { EdgeError, messageOf } from '../../errors.ts';
import type { Features, MatrixShape } from '../gpu/launch.ts';

/** What the backend needs of the runtime. */
export interface WebgpuHost {
  /** The runtime's WebGPU, or the reason why there is none. */
  gpu(): Promise<GPU | string>;
  /** Null, or how it is known that this machine has no GPU, told without loading a driver. */
  withoutHardware?(): Promise<string | null>;
  device: string; // 'Node.js 22.1.0'
}

/** For tests: what is otherwise detected. */
export interface WebgpuOverrides {
  subgroups?: number; // the most threads of one; 0: none
  packedDots?: boolean;
  f16?: boolean; // f16 arithmetic, or never
  matrices?: false; // of subgroups: never
  defaultLimits?: boolean; // those that the specification guarantees
  software?: boolean; // a software adapter is as good as any
}

/** What is known of an adapter. One adapter gives one device: another is asked for each time. */
export interface AdapterFacts {
  features: Features;
  name: string;
  software: boolean;
}

// The values of GPUBufferUsage and GPUMapMode, which not every runtime has as globals.
export const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, STORAGE: 128 } as const;
export const MAP_MODE_READ = 1;

const SPEC_BINDING = 128 * 2 ** 20; // maxStorageBufferBindingSize
const SPEC_WORKGROUP_MEMORY = 16_384;
const SPEC_THREADS = 256;
/** Offsets in a binding are 32 bits of floats; larger weights are split. */
const MOST_BINDING = 2 ** 31 - 256;
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render/i;

export async function requestAdapter(host: WebgpuHost): Promise<{ gpu: GPU; adapter: GPUAdapter } | string> {
  try {
    const gpu = await host.gpu();
    if (typeof gpu === 'string') return gpu;
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    return adapter ? { gpu, adapter } : 'it has no GPU adapter';
  } catch (error) {
    return `no adapter: ${messageOf(error)}`;
  }
}

export function factsOf(gpu: GPU, adapter: GPUAdapter, overrides: WebgpuOverrides): AdapterFacts {
  const { limits, info } = adapter;
  const names = [info.vendor, info.architecture, info.device, info.description].filter(Boolean);
  const name = info.description || info.device || names.join(' ') || 'unnamed adapter';
  const f16 = overrides.f16 ?? adapter.features.has('shader-f16');
  const limit = (value: number, spec: number) => (overrides.defaultLimits ? spec : value);
  const offered = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize, MOST_BINDING);
  return {
    name,
    software: !overrides.software && (info.isFallbackAdapter === true || SOFTWARE.test(names.join(' '))),
    features: {
      subgroups: adapter.features.has('subgroups') ? (overrides.subgroups ?? subgroupSize(info)) : 0,
      packedDots:
        overrides.packedDots ?? gpu.wgslLanguageFeatures?.has('packed_4x8_integer_dot_product') === true,
      f16,
      matrices:
        overrides.subgroups === 0 || overrides.matrices === false || !f16 ? null : matricesOf(adapter),
      maxBinding: limit(offered - (offered % 256), SPEC_BINDING),
      maxWorkgroupMemory: limit(limits.maxComputeWorkgroupStorageSize, SPEC_WORKGROUP_MEMORY),
      maxThreads: limit(
        Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
        SPEC_THREADS,
      ),
    },
  };
}

/** The most threads of a subgroup, if workgroups are made of whole ones for sure; else 0. */
function subgroupSize({ subgroupMinSize, subgroupMaxSize }: GPUAdapterInfo): number {
  return subgroupMinSize >= 4 && subgroupMaxSize <= 64 ? subgroupMaxSize : 0;
}

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';

/** The largest product of f16 with sums in f32, if every subgroup has the same size. */
function matricesOf({ features, info }: GPUAdapter): MatrixShape | null {
  if (!features.has(SUBGROUP_MATRIX as GPUFeatureName)) return null;
  if (info.subgroupMinSize !== info.subgroupMaxSize) return null;
  const { subgroupMatrixConfigs = [] } = info as GPUAdapterInfo & {
    subgroupMatrixConfigs?: Iterable<MatrixShape & { componentType: string; resultComponentType: string }>;
  };
  const fitting = [...subgroupMatrixConfigs].filter(
    ({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32',
  );
  const size = ({ M, N, K }: MatrixShape) => M * N * K;
  const largest = fitting.toSorted((a, b) => size(b) - size(a))[0];
  return largest ? { M: largest.M, N: largest.N, K: largest.K } : null;
}

/** @throws UNSUPPORTED_BACKEND if the adapter gives no device */
export async function requestDevice(adapter: GPUAdapter, features: Features): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice({
      requiredFeatures: [
        ...(features.subgroups > 0 ? ['subgroups'] : []),
        ...(features.f16 ? ['shader-f16'] : []),
        ...(features.matrices ? [SUBGROUP_MATRIX] : []),
      ] as GPUFeatureName[],
      requiredLimits: {
        maxStorageBufferBindingSize: features.maxBinding,
        maxBufferSize: Math.max(features.maxBinding, 256 * 2 ** 20),
        maxComputeWorkgroupStorageSize: features.maxWorkgroupMemory,
        maxComputeInvocationsPerWorkgroup: features.maxThreads,
        maxComputeWorkgroupSizeX: features.maxThreads,
      },
    });
  } catch (cause) {
    throw new EdgeError(
      'UNSUPPORTED_BACKEND',
      `The GPU adapter gave no device (${messageOf(cause)}): update the driver, or use the backend 'wasm'`,
      { cause },
    );
  }
}
