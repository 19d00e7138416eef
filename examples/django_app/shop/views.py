"""The shop's only page: what there is, who ordered it, and a form to order more."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from .models import Order, OutOfStock, Product


class OrderForm(forms.Form):
    """An order that is placed on the page."""

    product = forms.ModelChoiceField(Product.objects.all())
    quantity = forms.IntegerField(min_value=1, initial=1)
    customer = forms.CharField(max_length=50)


def index(request: HttpRequest) -> HttpResponse:
    """Show the page, or take an order."""
    form = OrderForm(request.POST or None)
    if form.is_valid() and _is_placed(form):
        return redirect("index")
    context: dict[str, Any] = {
        "form": form,
        "products": Product.objects.all(),
        "orders": Order.objects.select_related("product")[:20],
    }
    return render(request, "shop/index.html", context)


def _is_placed(form: OrderForm) -> bool:
    told = form.cleaned_data
    try:
        told["product"].order(told["quantity"], told["customer"])
    except OutOfStock as error:
        form.add_error("quantity", str(error))
        return False
    return True
