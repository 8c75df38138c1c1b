// The page of a link. What stands behind # in a link is the secret part: browsers do not send it, and neither does
// this script, whose page is not allowed to connect anywhere.
'use strict';

(() => {
  const find = (id) => document.getElementById(id);

  // Apps read links of their own scheme. Those of one letter name their server by its host, which a simplex: link says
  // in its parameter h, as the first of the server's hosts.
  function appLink(kind, fragment, host) {
    let rest = fragment;
    if (kind.length === 1) {
      if (!rest.includes('?')) rest += '?h=' + host;
      else if (/[?&]h=/.test(rest)) rest = rest.replace(/([?&]h=)/, (name) => name + host + ',');
      else rest += '&h=' + host;
    }
    return 'simplex:/' + kind + '#' + rest;
  }

  function drawCode(text) {
    const code = qrCode(text);
    find('code').replaceChildren();
    find('scan').hidden = !code;
    if (!code) return;
    let path = '';
    code.dark.forEach((row, y) => row.forEach((dark, x) => {
      if (dark) path += `M${x} ${y}h1v1h-1z`;
    }));
    const make = (name, attributes) => {
      const element = document.createElementNS('http://www.w3.org/2000/svg', name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const side = code.size + 8;
    const svg = make('svg', { class: 'qr', role: 'img', 'aria-label': 'QR code of the link', viewBox: `-4 -4 ${side} ${side}`, 'shape-rendering': 'crispEdges' });
    svg.append(make('rect', { x: -4, y: -4, width: side, height: side, fill: '#fff' }), make('path', { d: path, fill: '#000' }));
    find('code').append(svg);
  }

  function show() {
    const kind = location.pathname.split('/').filter(Boolean).pop() || '';
    const fragment = location.hash.slice(1);
    const present = fragment.length > 1;
    find('link').hidden = !present;
    find('missing').hidden = present;
    if (!present) return;
    const link = 'https://' + location.host + '/' + kind + '#' + fragment;
    find('open').href = appLink(kind, fragment, location.hostname);
    find('text').textContent = link;
    drawCode(link);
  }

  find('copy').addEventListener('click', async () => {
    const text = find('text');
    try {
      await navigator.clipboard.writeText(text.textContent);
      find('copied').textContent = 'Copied.';
    } catch {
      // Without the permission it can still be copied by hand.
      getSelection().selectAllChildren(text);
      find('copied').textContent = 'Selected: copy it with your keyboard or menu.';
    }
  });
  addEventListener('hashchange', show);
  show();
})();
