"use strict";

// On a narrow screen the navigation scrolls: it begins at the page that is open.
const current = document.querySelector("header nav a[aria-current], header nav a.within");
if (current) current.scrollIntoView({ block: "nearest", inline: "center" });

// A form is sent once: its button is disabled until the next page. The server refuses a second time anyway.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button[type=submit]")) {
    button.disabled = true;
    button.textContent += " …";
  }
});

// A page that comes back from the browser's memory may be sent again: it gets fresh forms.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
