/** Whether an address is of this very machine: no proxy is between. */
export function isLoopback(address: URL | string): boolean {
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}
