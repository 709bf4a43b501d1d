import type { WebgpuHost } from '../../src/backends/webgpu/index.ts';

/** A host whose adapters are changed before they are used. */
export function changedAdapter(host: WebgpuHost, change: (adapter: GPUAdapter) => void): WebgpuHost {
  return {
    ...host,
    async gpu() {
      const gpu = await host.gpu();
      if (typeof gpu === 'string') return gpu;
      return {
        wgslLanguageFeatures: gpu.wgslLanguageFeatures,
        requestAdapter: async (options: GPURequestAdapterOptions) => {
          const adapter = await gpu.requestAdapter(options);
          if (adapter) change(adapter);
          return adapter;
        },
      } as unknown as GPU;
    },
  };
}

/** The same for devices. */
export function changedDevice(host: WebgpuHost, change: (device: GPUDevice) => void): WebgpuHost {
  return changedAdapter(host, (adapter) => {
    const request = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await request(descriptor);
      change(device);
      return device;
    };
  });
}

/** Dawn's null backend computes nothing: what is read back would be memory as it was. Zeros instead. */
export function readZeros(device: GPUDevice): void {
  const create = device.createBuffer.bind(device);
  device.createBuffer = (description) => {
    const buffer = create(description);
    buffer.getMappedRange = (_, size) => new ArrayBuffer(size ?? 0);
    return buffer;
  };
}
